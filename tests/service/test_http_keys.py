"""API keys: who has one, how often it may ask, and that none is ever written down."""

import time

import pytest

from service.app import create_app
from service.errors import URN, ConfigurationError, ServiceError
from service.keys import find_key, hash_key, load_keys, new_key
from service.security import Meter, main
from service.settings import Settings
from tests.service.counting import CountingTracker, closed, frames, headed, serving, step

FRAME = headed(*frames(1)[0])
JPEG = {"Content-Type": "image/jpeg"}


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def test_each_key_of_a_principal_opens_the_service(make_client, keys, picture):
    path, first, second = keys
    client = make_client(api_keys_file=path)
    for key in (first, second):
        reply = await client.post("/align", content=picture(), headers=bearer(key))
        assert reply.status_code == 200


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer ", "Bearer wrong", "Basic YTpi", "Bearer \xe9"]
)
async def test_without_a_known_key_nothing_is_read(
    make_client, keys, inference, picture, authorization
):
    client = make_client(api_keys_file=keys[0])
    headers = [] if authorization is None else [(b"Authorization", authorization.encode("latin-1"))]
    reply = await client.post("/align", content=picture(), headers=headers)
    assert (reply.status_code, reply.json()["type"]) == (401, URN + "unauthenticated")
    assert reply.headers["www-authenticate"].startswith("Bearer")
    assert inference.questions == []


@pytest.mark.parametrize("path", ["/models", "/metrics"])
async def test_what_the_service_tells_of_itself_needs_a_key_too(make_client, keys, path):
    client = make_client(api_keys_file=keys[0])
    assert (await client.get(path)).status_code == 401
    assert (await client.get(path, headers=bearer(keys[1]))).status_code == 200


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/docs", "/openapi.json"])
async def test_health_and_documentation_need_no_key(make_client, keys, path):
    assert (await make_client(api_keys_file=keys[0]).get(path)).status_code == 200


async def test_a_key_that_asks_too_often_is_told_when_to_return(make_client, keys):
    path, first, second = keys
    client = make_client(api_keys_file=path)
    statuses = [(await client.get("/models", headers=bearer(second))).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]
    refused = await client.get("/models", headers=bearer(second))
    assert refused.json()["type"] == URN + "rate-limited"
    assert 1 <= int(refused.headers["retry-after"]) <= 5
    assert (await client.get("/models", headers=bearer(first))).status_code == 200


def test_a_rate_limit_allows_its_rate_and_ten_seconds_at_once():
    now = [0.0]
    meter = Meter(60, "requests", lambda: now[0])
    for _ in range(10):
        meter.check(1)
        meter.take()
    with pytest.raises(ServiceError, match="rate-limited"):
        meter.check(1)
    taken = 0
    for _ in range(800):
        now[0] += 0.125
        try:
            meter.check(1)
        except ServiceError:
            continue
        meter.take()
        taken += 1
    assert taken == 100


def test_a_meter_allows_its_rate_and_ten_seconds_at_once():
    now = [100.0]
    meter = Meter(6000, "bytes", lambda: now[0])
    meter.take(1000)
    meter.check()
    meter.take(300)
    assert meter.wait_s() == 3.0
    with pytest.raises(ServiceError, match="rate-limited"):
        meter.check()
    now[0] += 3.0
    meter.check()
    now[0] += 1000.0
    meter.take(1000)
    assert meter.wait_s() == 0.0


async def test_a_key_that_has_sent_too_much_is_told_when_to_return(make_client, keys, picture):
    path, first, second = keys
    path.write_text(path.read_text().replace("requests_per_minute = 12", "bytes_per_minute = 6000"))
    client = make_client(api_keys_file=path)
    large = picture("BMP", size=(64, 64))
    asked = [await client.post("/align", content=large, headers=bearer(second)) for _ in range(2)]
    assert [reply.status_code for reply in asked] == [200, 429]
    assert asked[1].json()["type"] == URN + "rate-limited"
    assert int(asked[1].headers["retry-after"]) > 60
    reply = await client.post("/align", content=large, headers=bearer(first))
    assert reply.status_code == 200


async def test_a_key_may_be_given_fewer_sockets(keys):
    path, first, second = keys
    path.write_text(path.read_text().replace("requests_per_minute = 12", "max_sockets = 1"))
    async with (
        serving(CountingTracker(), api_keys_file=path) as service,
        service.open("a", additional_headers=bearer(second)) as one,
    ):
        assert (await step(one, FRAME))["status"] == "tracking"
        async with service.open("b", additional_headers=bearer(second)) as two:
            assert await closed(two) == (4429, "too-many-sockets")
        async with service.open("b", additional_headers=bearer(first)) as three:
            assert (await step(three, FRAME))["status"] == "tracking"


async def test_a_socket_that_sends_too_much_is_read_more_slowly(keys):
    path, _, second = keys
    limit = "bytes_per_minute = 60_000"
    path.write_text(path.read_text().replace("requests_per_minute = 12", limit))
    async with serving(CountingTracker(), api_keys_file=path) as service:
        started = time.monotonic()
        async with service.open("a", additional_headers=bearer(second)) as socket:
            for _ in range(11):
                await step(socket, FRAME + bytes(950 - len(FRAME)))
        assert time.monotonic() - started > 0.4


async def test_keys_are_changed_without_a_restart_and_a_wrong_file_changes_nothing(
    make_client, keys, monkeypatch
):
    monkeypatch.setattr("service.security.LOOK_S", 0.0)
    path, first, second = keys
    client = make_client(api_keys_file=path)
    third, entry = new_key("bob")

    async def statuses() -> list[int]:
        asked = [await client.get("/models", headers=bearer(key)) for key in (first, third)]
        return [reply.status_code for reply in asked]

    assert await statuses() == [200, 401]
    path.write_text(path.read_text() + entry)
    assert await statuses() == [200, 200]
    path.write_text("not toml")
    assert await statuses() == [200, 200]
    path.write_text(entry)
    assert await statuses() == [401, 200]


@pytest.mark.parametrize("content", [None, "", "keys = []"])
async def test_who_takes_the_last_key_or_the_whole_file_away_revokes_all(
    make_client, keys, monkeypatch, content
):
    monkeypatch.setattr("service.security.LOOK_S", 0.0)
    path, first, _ = keys
    client, before = make_client(api_keys_file=path), path.read_text()
    path.unlink() if content is None else path.write_text(content)
    assert (await client.get("/models", headers=bearer(first))).status_code == 401
    path.write_text(before)
    assert (await client.get("/models", headers=bearer(first))).status_code == 200


async def test_a_socket_whose_key_is_taken_away_is_closed_at_its_next_message(keys, monkeypatch):
    monkeypatch.setattr("service.security.LOOK_S", 0.0)
    path, first, _ = keys
    async with (
        serving(CountingTracker(), api_keys_file=path) as service,
        service.open(additional_headers=bearer(first)) as socket,
    ):
        await step(socket, FRAME)
        path.unlink()
        await socket.send(FRAME)
        assert await closed(socket) == (4401, "unauthenticated")


def test_the_keys_file_holds_no_key():
    key, entry = new_key("alice")
    assert key not in entry
    assert hash_key(key) in entry
    assert len(key) > 40


def test_a_key_is_found_among_others_and_a_near_miss_is_not(keys):
    path, first, second = keys
    entries = load_keys(path)
    assert find_key(entries, second) == entries[1]
    assert find_key(entries, first + "x") is None


@pytest.mark.parametrize(
    "content",
    [
        "not toml",
        '[[keys]]\nid = "a"\nprincipal = "b"\nsha256 = "plain-text-key"',
        '[[keys]]\nid = "a"\nprincipal = "b"\nsha256 = "' + 64 * "0" + '"\nrole = "admin"',
        2 * ('[[keys]]\nid = "a"\nprincipal = "b"\nsha256 = "' + 64 * "0" + '"\n'),
    ],
)
def test_a_keys_file_that_is_not_right_stops_the_start(tmp_path, content):
    path = tmp_path / "keys.toml"
    path.write_text(content)
    with pytest.raises(ConfigurationError) as caught:
        load_keys(path)
    assert str(path) in str(caught.value)
    assert "plain-text-key" not in str(caught.value)


def test_a_keys_file_that_is_missing_stops_the_start(tmp_path, inference):
    with pytest.raises(ConfigurationError, match="No such file"):
        create_app(Settings(api_keys_file=tmp_path / "none.toml"), inference)


@pytest.mark.parametrize("content", ["", "keys = []"])
def test_a_keys_file_without_a_key_stops_the_start(tmp_path, inference, content):
    path = tmp_path / "keys.toml"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match="has no key"):
        create_app(Settings(api_keys_file=path), inference)


def test_the_command_makes_an_entry_that_the_keys_file_takes(tmp_path, capsys):
    assert main(["bob"]) == 0
    printed = capsys.readouterr()
    path = tmp_path / "keys.toml"
    path.write_text(printed.out)
    (entry,) = load_keys(path)
    assert entry.sha256 == hash_key(printed.err.split()[-1])
    assert entry.principal == "bob"
