"""Host names, origins and forwarding headers, and what every reply carries."""

import pytest
from fastapi import WebSocket

from service.app import create_app
from service.errors import URN
from service.http.middleware import host_matches
from service.services import Caller
from service.settings import Settings

JPEG = {"Content-Type": "image/jpeg"}


@pytest.mark.parametrize(
    "headers",
    [
        {"Forwarded": "for=1.2.3.4"},
        {"X-Forwarded-For": "1.2.3.4"},
        {"X-Forwarded-Host": "example.org"},
        {"x-forwarded-proto": "https"},
        {"X-Real-IP": "1.2.3.4"},
        {"Via": "1.1 proxy"},
        {"CF-Connecting-IP": "1.2.3.4"},
        {"True-Client-IP": "1.2.3.4"},
        {"X-Client-IP": "1.2.3.4"},
        {"X-Cluster-Client-IP": "1.2.3.4"},
        {"Fastly-Client-IP": "1.2.3.4"},
        {"Fly-Client-IP": "1.2.3.4"},
        {"X-Original-Forwarded-For": "1.2.3.4"},
        {"X-Original-URL": "/models"},
        {"X-Envoy-External-Address": "1.2.3.4"},
        {"X-Azure-ClientIP": "1.2.3.4"},
        {"X-Amzn-Trace-Id": "Root=1"},
        {"X-ProxyUser-Ip": "1.2.3.4"},
        {"WL-Proxy-Client-IP": "1.2.3.4"},
        {"CDN-Loop": "cdn"},
    ],
)
async def test_forwarded_requests_are_refused_without_keys_and_taken_with_them(
    make_client, keys, headers
):
    refused = await make_client().get("/health/live", headers=headers)
    assert (refused.status_code, refused.json()["type"]) == (403, URN + "forwarded-without-keys")
    taken = await make_client(api_keys_file=keys[0]).get("/health/live", headers=headers)
    assert taken.status_code == 200


@pytest.mark.parametrize(
    ("server", "host", "status"),
    [
        ("10.0.0.5", "10.0.0.5:8000", 200),
        ("fd00::5", "[fd00::5]", 200),
        ("10.0.0.5", "10.0.0.6:8000", 400),
        ("evil.example", "evil.example", 400),
        (None, "10.0.0.5", 400),
    ],
)
async def test_the_address_that_was_connected_to_is_a_name_too(inference, server, host, status):
    app = create_app(Settings(), inference)
    sent: list[dict] = []

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/health/live",
        "query_string": b"",
        "headers": [(b"host", host.encode())],
        "server": None if server is None else (server, 8000),
    }
    await app(scope, None, send)
    assert sent[0]["status"] == status


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:8000", 200),
        ("127.0.0.1:9", 200),
        ("[::1]:8000", 200),
        ("evil.example", 400),
        ("localhost.evil.example", 400),
        ("localhost@evil.example", 400),
        ("localhost:8000:1", 400),
        ("", 400),
    ],
)
async def test_only_known_host_names_are_answered(client, host, status):
    reply = await client.get("/health/live", headers={"Host": host})
    assert reply.status_code == status
    assert status == 200 or reply.json()["type"] == URN + "invalid-host"


async def test_two_host_headers_are_refused(client):
    hosts = [("Host", "localhost"), ("Host", "evil.example")]
    assert (await client.get("/health/live", headers=hosts)).status_code == 400


async def test_configured_host_names_replace_the_loopback_ones(make_client):
    client = make_client(allowed_hosts="api.example.org, *.faces.example")
    for host, status in [("api.example.org", 200), ("a.faces.example", 200), ("localhost", 400)]:
        assert (await client.get("/health/live", headers={"Host": host})).status_code == status


def test_a_wildcard_covers_what_is_below_it_only():
    assert host_matches("a.b.example", "*.b.example")
    assert not host_matches("b.example", "*.b.example")
    assert not host_matches("evilb.example", "*.b.example")
    assert host_matches("anything", "*")


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:8000", 200),
        ("http://localhost", 403),
        ("http://localhost:9999", 403),
        ("https://evil.example", 403),
        ("null", 403),
        ("http://[", 403),
    ],
)
async def test_pages_of_other_origins_are_turned_away(client, picture, origin, status):
    headers = {**JPEG, "Origin": origin}
    reply = await client.post("/align", content=picture(), headers=headers)
    assert reply.status_code == status
    assert "access-control-allow-origin" not in reply.headers


async def test_pages_of_allowed_origins_may_ask_and_read_the_reply(make_client, picture):
    client = make_client(allowed_origins="https://app.example")
    origin = {"Origin": "https://app.example"}
    asked = {**origin, "Access-Control-Request-Method": "POST"}
    assert (await client.options("/align", headers=asked)).status_code == 200
    reply = await client.post("/align", content=picture(), headers={**JPEG, **origin})
    assert reply.headers["access-control-allow-origin"] == "https://app.example"
    assert "countenance-model" in reply.headers["access-control-expose-headers"].lower()
    assert (
        await client.get("/health/live", headers={"Origin": "https://other.example"})
    ).status_code == 403


@pytest.mark.parametrize("path", ["/health/live", "/docs", "/nothing-here", "/align"])
async def test_every_reply_carries_the_safe_headers(client, path):
    headers = (await client.get(path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert "default-src 'none'" in headers["content-security-policy"]


async def test_a_refused_request_carries_the_safe_headers_and_an_id(client):
    headers = (await client.get("/", headers={"Host": "evil.example"})).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-request-id"]


async def test_sockets_are_held_to_the_same_rules(keys, inference):
    """Uses a socket route of its own: the rules must hold before any is built on them."""
    app = create_app(Settings(api_keys_file=keys[0]), inference)

    @app.websocket("/echo")
    async def echo(socket: WebSocket, caller: Caller) -> None:
        await socket.accept()
        await socket.send_text(caller.name)
        await socket.close()

    # Before what refuses sockets of unknown addresses.
    app.router.routes.insert(0, app.router.routes.pop())

    async def messages(**headers: str) -> list[dict[str, object]]:
        sent: list[dict[str, object]] = []
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        scope = {
            "type": "websocket",
            "path": "/echo",
            "raw_path": b"/echo",
            "query_string": b"",
            "root_path": "",
            "headers": raw,
            "subprotocols": [],
            "scheme": "ws",
        }

        async def receive() -> dict[str, object]:
            return {"type": "websocket.connect"}

        async def send(message: dict[str, object]) -> None:
            sent.append(message)

        await app(scope, receive, send)
        return sent

    good = {"Host": "localhost", "Authorization": f"Bearer {keys[1]}"}
    assert [m.get("text") for m in await messages(**good)] == [None, "alice", None]
    assert (await messages(Host="localhost"))[0]["code"] == 4401
    assert (await messages(**{**good, "Host": "evil.example"}))[0]["code"] == 4400
    assert (await messages(**good, Origin="https://evil.example"))[-1]["code"] == 4403
