"""A real Caddy with the file that compose gives it: TLS, sockets, and replicas that come and go.

Debian calls it `caddy`, and so does the path; without it the test is skipped.
"""

import asyncio
import json
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from service.keys import new_key
from tests.needs import CADDY
from tests.service.counting import (
    CountingTracker,
    box,
    expected_boxes,
    frames,
    headed,
    serving,
    step,
)
from tests.serving.deployment import free_port
from tests.serving.servers import wait_until
from tests.sources import ROOT

pytestmark = [
    pytest.mark.slow,
    CADDY.mark,
]
CLIP = frames(6)


class Proxied:
    """Two replicas with one Redis behind Caddy."""

    def __init__(self, port: int, key: str, replicas: list[AsyncExitStack]) -> None:
        self.port, self.replicas = port, replicas
        self.headers = {"Authorization": f"Bearer {key}"}
        # Caddy signs for `localhost` itself; here nobody needs to believe it.
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.tls.check_hostname = False
        self.tls.verify_mode = ssl.CERT_NONE

    def client(self) -> httpx.AsyncClient:
        address = f"https://localhost:{self.port}"
        return httpx.AsyncClient(base_url=address, verify=self.tls, headers=self.headers)

    def open(self, session: str) -> connect:
        address = f"wss://localhost:{self.port}/track/{session}"
        return connect(address, ssl=self.tls, additional_headers=self.headers, proxy=None)


def configuration(folder: Path, ports: dict[str, int], upstreams: list[int]) -> Path:
    """Compose's file on free ports, with two addresses where a name is looked up."""
    text = (ROOT / "deploy" / "Caddyfile").read_text()
    for name, port in ports.items():
        text = text.replace(name, str(port))
    (folder / "Caddyfile").write_text(text)
    command = ["caddy", "adapt", "--config", str(folder / "Caddyfile")]
    config = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    (proxy,) = handlers(config, "reverse_proxy")
    assert proxy.pop("dynamic_upstreams")["source"] == "a"
    proxy["upstreams"] = [{"dial": f"127.0.0.1:{port}"} for port in upstreams]
    (folder / "caddy.json").write_text(json.dumps(config))
    return folder / "caddy.json"


def handlers(value: Any, kind: str) -> list[dict[str, Any]]:
    """All handlers of a kind, at any depth."""
    if isinstance(value, list):
        return [found for one in value for found in handlers(one, kind)]
    if not isinstance(value, dict):
        return []
    inner = [found for one in value.values() for found in handlers(one, kind)]
    return [value, *inner] if value.get("handler") == kind else inner


@pytest.fixture
async def proxied(tmp_path, own_redis) -> AsyncIterator[Proxied]:
    key, entry = new_key("tester")
    (tmp_path / "keys.toml").write_text(entry)
    options = {"redis_url": own_redis.url, "api_keys_file": tmp_path / "keys.toml"}
    async with AsyncExitStack() as everything:
        stacks = [await everything.enter_async_context(AsyncExitStack()) for _ in range(2)]
        services = [
            await stack.enter_async_context(serving(CountingTracker(), **options))
            for stack in stacks
        ]
        ports = {"8080": free_port(), "8443": free_port()}
        path = configuration(tmp_path, ports, [service.port for service in services])
        environment = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
        caddy = subprocess.Popen(
            ["caddy", "run", "--config", str(path)], env=environment, stderr=subprocess.DEVNULL
        )
        everything.callback(caddy.wait, 30)
        everything.callback(caddy.terminate)
        proxied = Proxied(ports["8443"], key, stacks)
        await asyncio.to_thread(wait_until, lambda: answers(proxied), caddy)
        yield proxied


def answers(proxied: Proxied) -> bool:
    try:
        address = f"https://localhost:{proxied.port}/health/live"
        return httpx.get(address, verify=proxied.tls).status_code == 200
    except httpx.HTTPError:
        return False


async def test_pictures_and_sockets_reach_the_replicas_over_tls(proxied):
    async with proxied.client() as client:
        assert (await client.get("/health/ready")).json()["status"] == "ready"
        refused = await client.get("/models", headers={"Authorization": "Bearer wrong"})
        assert refused.status_code == 401
    async with proxied.open("s") as socket:
        replies = [await step(socket, headed(*frame)) for frame in CLIP]
    assert [box(reply) for reply in replies] == expected_boxes(CLIP)


async def test_a_replica_that_goes_away_costs_no_request_and_no_session(proxied):
    async with proxied.open("s") as socket:
        replies = [await step(socket, headed(*frame)) for frame in CLIP[:3]]
    await proxied.replicas[0].aclose()
    async with proxied.client() as client:
        for _ in range(8):
            assert (await client.get("/health/ready")).status_code == 200
    async with proxied.open("s") as socket:
        replies += [await step(socket, headed(*frame)) for frame in CLIP[3:]]
    assert [box(reply) for reply in replies] == expected_boxes(CLIP)
