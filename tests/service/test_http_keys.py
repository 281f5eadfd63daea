"""API keys: who has one, how often it may ask, and that none is ever written down."""

import json
import logging

import pytest

from service.app import create_app
from service.errors import URN, ConfigurationError, ServiceError
from service.limits import RateLimiter
from service.logs import JsonFormatter
from service.security import find_key, hash_key, load_keys, main, new_key
from service.settings import Settings

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
    limiter = RateLimiter(lambda: now[0])
    for _ in range(10):
        limiter.take("a", 60)
    with pytest.raises(ServiceError, match="rate-limited"):
        limiter.take("a", 60)
    taken = 0
    for _ in range(800):
        now[0] += 0.125
        try:
            limiter.take("a", 60)
            taken += 1
        except ServiceError:
            continue
    assert taken == 100


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
        "",
        "not toml",
        "keys = []",
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


async def test_no_key_and_no_picture_reaches_the_log(make_client, keys, inference, picture, caplog):
    client = make_client(api_keys_file=keys[0])
    inference.error = RuntimeError("a fault in the model")
    with caplog.at_level(logging.DEBUG):
        await client.post("/align", content=picture(), headers=bearer(keys[1]))
        await client.post("/align", content=picture(), headers=bearer("wrong-key"))
    lines = [JsonFormatter().format(record) for record in caplog.records]
    text = "\n".join(lines)
    assert "a fault in the model" in text
    assert keys[1] not in text
    assert "wrong-key" not in text
    assert hash_key(keys[1]) not in text
    assert "JFIF" not in text
    assert [json.loads(line)["status"] for line in lines if '"request"' in line] == [500, 401]


def test_the_command_makes_an_entry_that_the_keys_file_takes(tmp_path, capsys):
    assert main(["bob"]) == 0
    printed = capsys.readouterr()
    path = tmp_path / "keys.toml"
    path.write_text(printed.out)
    (entry,) = load_keys(path)
    assert entry.sha256 == hash_key(printed.err.split()[-1])
    assert entry.principal == "bob"
