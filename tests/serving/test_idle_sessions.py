"""What the service holds for a live session that waits: its socket and its state, and no frame."""

import asyncio
import os
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.serving.crowd import PICTURE

ROOT = Path(__file__).parents[2]
FRAME = PICTURE + bytes(60_000 - len(PICTURE))
STATE_BYTES = 9000
FIRST, MORE = 100, 200
MOST_KIB = 60.0


def resident_kib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024


async def live(stack: AsyncExitStack, address: str) -> ClientConnection:
    """A session that has had one frame answered."""
    opening = connect(address, proxy=None, compression=None, ping_interval=None, open_timeout=60)
    socket = await stack.enter_async_context(opening)
    await socket.send(FRAME)
    assert b'"tracking"' in await socket.recv(decode=False)
    return socket


@pytest.mark.slow
async def test_a_session_that_waits_holds_less_than_sixty_kibibytes(own_redis):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.service.counting_process", own_redis.url, str(STATE_BYTES),
        cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    address = f"ws://127.0.0.1:{int(await process.stdout.readline())}/track"
    try:
        async with AsyncExitStack() as stack:
            for n in range(FIRST):
                await live(stack, f"{address}/first{n}")
            before = resident_kib(process.pid)
            for n in range(MORE):
                await live(stack, f"{address}/more{n}")
            each = (resident_kib(process.pid) - before) / MORE
    finally:
        process.kill()
        await process.wait()
    print(f"{each:.1f} KiB a session")
    assert each < MOST_KIB
