"""Waiting in tests: for what is to be seen, never for some time that should be enough."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable

LOOK_S = 0.01
MOST_S = 60.0  # a test that waits for longer has failed, on however slow a machine


async def until(seen: Callable[[], object | Awaitable[object]]) -> None:
    """Return once `seen` gives something true; raises TimeoutError where it never does."""
    async with asyncio.timeout(MOST_S):
        while True:
            found = seen()
            if inspect.isawaitable(found):
                found = await found
            if found:
                return
            await asyncio.sleep(LOOK_S)


def wait_until(seen: Callable[[], object]) -> None:
    """Return once `seen` gives something true; raises TimeoutError where it never does."""
    end_s = time.monotonic() + MOST_S
    while not seen():
        if time.monotonic() > end_s:
            raise TimeoutError(f"{MOST_S:g} s were not enough")
        time.sleep(LOOK_S)


async def settle() -> None:
    """Let every task that can go on without the world outside do so."""
    for _ in range(20):
        await asyncio.sleep(0)
