"""Tokens for web pages: a key's rights at some doors for some minutes, and nothing else."""

import base64
import json
import time

import pytest

from service.errors import URN, ConfigurationError
from service.keys import load_keys, new_key
from service.security import Authenticator, Principal
from service.settings import Settings
from tests.service.counting import CountingTracker, closed, frames, headed, serving, step

FRAME = headed(*frames(1)[0])


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def token_of(client, key, **query):
    reply = await client.post("/tokens", headers=bearer(key), params={"doors": "align", **query})
    assert reply.status_code == 200
    return reply.json()["token"]


async def test_a_token_opens_its_doors_and_no_others(make_client, keys, picture):
    client = make_client(api_keys_file=keys[0])
    token = await token_of(client, keys[1])
    posted = await client.post("/align", content=picture(), headers=bearer(token))
    assert posted.status_code == 200
    for method, path in (
        ("GET", "/models"),
        ("GET", "/metrics"),
        ("GET", "/sessions/a"),
        ("POST", "/track/a"),
        ("POST", "/tokens?doors=align"),
    ):
        refused = await client.request(method, path, headers=bearer(token))
        assert (refused.status_code, refused.json()["type"]) == (403, URN + "wrong-door"), path


async def test_a_page_opens_a_socket_with_a_token_and_the_session_is_the_principal_s(keys):
    path, first, second = keys
    async with serving(CountingTracker(), api_keys_file=path) as service:
        token = await token_of(service.http, first, doors="track")
        offered = ["countenance", f"bearer.{token}"]
        async with service.open(subprotocols=offered) as socket:
            await step(socket, FRAME)
        found = await service.http.get("/sessions/s", headers=bearer(second))
        assert found.json()["streams"][0]["step"] == 1
        token = await token_of(service.http, first, doors="align")
        async with service.open(subprotocols=["countenance", f"bearer.{token}"]) as socket:
            assert await closed(socket) == (4403, "wrong-door")


async def test_a_token_says_when_it_runs_out_and_does(make_client, keys, picture, monkeypatch):
    client = make_client(api_keys_file=keys[0])
    query = {"doors": ["align", "track"], "minutes": 5}
    made = (await client.post("/tokens", headers=bearer(keys[1]), params=query)).json()
    assert made["doors"] == ["align", "track"]
    authenticator = client._transport.app.state.services.authenticator
    assert authenticator is not None
    now = [time.time()]
    monkeypatch.setattr(authenticator, "_now_s", lambda: now[0])
    statuses = []
    for later_s in (0, 290, 11):
        now[0] += later_s
        posted = await client.post("/align", content=picture(), headers=bearer(made["token"]))
        statuses.append(posted.status_code)
    assert statuses == [200, 200, 401]
    assert "run out" in posted.json()["detail"]


async def test_a_token_ends_with_its_key(make_client, keys, picture, monkeypatch):
    monkeypatch.setattr("service.security.LOOK_S", 0.0)
    path, first, _ = keys
    client = make_client(api_keys_file=path)
    token = await token_of(client, first)
    _, other = new_key("alice")
    named = path.read_text().split('id = "')[1].split('"')[0]
    # Another key of the same name is not the key that the token was made with.
    path.write_text(other.replace(other.split('id = "')[1].split('"')[0], named))
    posted = await client.post("/align", content=picture(), headers=bearer(token))
    assert posted.status_code == 401


@pytest.mark.parametrize("minutes", [0, 61, -1, "x"])
async def test_a_token_lasts_an_hour_at_most(make_client, keys, minutes):
    client = make_client(api_keys_file=keys[0])
    query = {"doors": "align", "minutes": minutes}
    refused = await client.post("/tokens", headers=bearer(keys[1]), params=query)
    assert refused.status_code == 422


async def test_without_keys_there_are_no_tokens(make_client):
    assert (await make_client().post("/tokens", params={"doors": "align"})).status_code == 404


def forged(token: str) -> list[str]:
    head, _, signature = token.removeprefix("cntt_").partition(".")
    body = json.loads(base64.urlsafe_b64decode(head + "=="))
    later = base64.urlsafe_b64encode(json.dumps([body[0], body[1], 2**40]).encode()).decode()
    deep = base64.urlsafe_b64encode(b"[" * 700).decode().rstrip("=")
    return [
        f"cntt_{later.rstrip('=')}.{signature}",
        f"cntt_{head}.",
        f"cntt_{head}",
        f"cntt_{head}.{signature[:-2]}AA",
        f"cntt_{deep}.{signature}",
        f"cntt_{head}.{signature}" + "A" * 2000,
        "cntt_",
        "cntt_\xe9.\xe9",
        "cntt_" + base64.urlsafe_b64encode(b'[1e999, "a", 1e999]').decode() + ".AAAA",
    ]


async def test_whatever_is_changed_in_a_token_makes_it_worthless(make_client, keys, picture):
    client = make_client(api_keys_file=keys[0])
    token = await token_of(client, keys[1])
    for changed in forged(token):
        headers = [(b"Authorization", f"Bearer {changed}".encode("latin-1"))]
        reply = await client.post("/align", content=picture(), headers=headers)
        assert reply.status_code == 401, changed


def test_replicas_with_one_secret_know_each_other_s_tokens_and_others_do_not(tmp_path, keys):
    secret = tmp_path / "secret"
    secret.write_bytes(b"s" * 32 + b"\n")
    together = Settings(api_keys_file=keys[0], secret_file=secret)
    alone = Settings(api_keys_file=keys[0])
    (entry, _) = load_keys(keys[0])
    asker = Principal(entry.principal, entry.id)
    for settings, same in ((together, True), (alone, False)):
        one, other = (Authenticator(settings) for _ in range(2))
        # In one second both tokens run out at the same time.
        tokens = {service.grant(asker, ["align"], 60) for service in (one, other, one, other)}
        assert (len({token for token, _ in tokens}) == len({at for _, at in tokens})) is same


@pytest.mark.parametrize("content", [None, b"", b"short"])
def test_a_secret_that_is_none_stops_the_start(tmp_path, keys, content):
    secret = tmp_path / "secret"
    if content is not None:
        secret.write_bytes(content)
    with pytest.raises(ConfigurationError, match="the secret"):
        Authenticator(Settings(api_keys_file=keys[0], secret_file=secret))
