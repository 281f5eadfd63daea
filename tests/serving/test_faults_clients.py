"""Clients that misbehave beside one that does not: the service stays small and answers it."""

import asyncio
import contextlib
import json
import re
import time
import urllib.request
from importlib.util import find_spec
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.serving.crowd import PICTURE, RESULTS, Crowd
from tests.serving.deployment import Deployment, ServiceProcess
from tests.serving.slowness import slowness
from tests.waiting import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ts") is None, reason="needs the extra torchserve"),
]
MANY = 500
COME_BACK = 1013
MOST_MB = 100.0
HEAD = "POST /track/slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"


@pytest.fixture
async def service(deployment: Deployment) -> ServiceProcess:
    await asyncio.to_thread(deployment.mend)
    return deployment.services[0]


async def ask(address: str) -> dict[str, object]:
    """One frame on a socket of its own, and its reply."""
    async with asyncio.timeout(60), connect(address, proxy=None, ping_interval=None) as socket:
        await socket.send(PICTURE)
        return dict(json.loads(await socket.recv()))


def open_sockets(service: ServiceProcess) -> int:
    """How many sockets of live sessions the service counts."""
    with urllib.request.urlopen(f"{service.base}/metrics", timeout=30) as reply:
        found = re.search(rb'^countenance_sockets{model="track"} (\S+)', reply.read(), re.MULTILINE)
    return int(float(found[1])) if found else 0


async def until_closed(service: ServiceProcess, left: int = 0) -> None:
    async def are_closed() -> bool:
        return await asyncio.to_thread(open_sockets, service) <= left

    await until(are_closed)


async def insist(service: ServiceProcess, name: str) -> tuple[Any, dict[str, Any]]:
    """Open a socket and have a frame answered; who is told to come back later does."""
    while True:
        socket = await connect(
            f"{service.live}/{name}", proxy=None, ping_interval=None, open_timeout=60
        )
        try:
            while True:
                await socket.send(PICTURE)
                reply = json.loads(await socket.recv())
                if not reply.get("error", {}).get("type", "").endswith(":overloaded"):
                    return socket, reply
                await asyncio.sleep(1.0)
        except ConnectionClosed:
            assert socket.close_code == COME_BACK, socket.close_reason
            await asyncio.sleep(1.0)


async def test_five_hundred_sockets_at_once_are_all_answered_and_leave_little_behind(service):
    before = service.memory_mb()
    async with asyncio.timeout(240):
        opened = await asyncio.gather(*(insist(service, f"m{n}") for n in range(MANY)))
    grown = service.memory_mb() - before
    print(f"{MANY} sockets at once: {grown:.0f} MB more")
    assert [reply for _, reply in opened if reply["status"] not in RESULTS] == []
    assert grown < MOST_MB
    await asyncio.gather(*(socket.close() for socket, _ in opened))
    await until_closed(service)


async def test_half_open_sockets_and_unread_replies_disturb_nobody(service):
    before, slow = service.memory_mb(), await asyncio.to_thread(slowness)
    async with contextlib.AsyncExitStack() as stack:
        for n in range(100):
            socket = await stack.enter_async_context(
                connect(
                    f"{service.live}/h{n}",
                    proxy=None,
                    ping_interval=None,
                    max_queue=1,
                    close_timeout=0.1,
                )
            )
            # Half of them fall silent after a frame, half go on sending and never read.
            for _ in range(1 if n % 2 else 30):
                await socket.send(PICTURE)
        async with Crowd([service.live], count=5, rate_hz=5.0) as crowd:
            started = time.monotonic()
            await asyncio.sleep(3.0)
            damage = crowd.damage(started)
        print(f"beside 100 half-open sockets: {damage}")
        assert damage.share_of_results == 1.0
        assert damage.longest_gap_s < 2.0 * slow
        assert service.memory_mb() - before < MOST_MB
    await until_closed(service)


async def test_uploads_at_a_byte_a_second_disturb_nobody(service):
    before = service.memory_mb()
    writers = []
    for _ in range(100):
        _, writer = await asyncio.open_connection("127.0.0.1", service.port)
        writer.write(HEAD.encode())
        writers.append(writer)
    for _ in range(4):
        for writer in writers:
            writer.write(b"a")
        await asyncio.sleep(1.0)
        assert (await ask(f"{service.live}/beside"))["status"] in RESULTS
        request = urllib.request.Request(f"{service.base}/track/post", PICTURE)
        request.add_header("Content-Type", "image/jpeg")
        with await asyncio.to_thread(urllib.request.urlopen, request, timeout=60) as reply:
            assert json.loads(reply.read())["status"] in RESULTS
    assert service.memory_mb() - before < MOST_MB
    for writer in writers:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
