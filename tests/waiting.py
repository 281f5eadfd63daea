"""Waiting in tests: for what is to be seen, never for some time that should be enough."""

import asyncio
import inspect
import selectors
import time
from collections.abc import Awaitable, Callable

from service.inference import Inference

LOOK_S = 0.01
MOST_S = 180.0  # a test that waits for longer has failed, on however slow a machine


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


async def until_ready(inference: Inference) -> None:
    """Return once models can be asked."""

    async def is_ready() -> bool:
        return (await inference.readiness()).ready

    await until(is_ready)


async def until_said(inference: Inference, words: str) -> None:
    """Return once these words are in the reason for which the models are not ready."""

    async def is_said() -> bool:
        return words in ((await inference.readiness()).reason or "")

    await until(is_said)


async def settle() -> None:
    """Let every task that can go on without the world outside do so."""
    for _ in range(20):
        await asyncio.sleep(0)


class _Leaping(selectors.DefaultSelector):
    """Waits for no timer: where nothing else has happened, it counts the time as gone by."""

    gone_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        found = super().select(0)
        if not found:
            self.gone_s += timeout
        return found


class HeldClock(asyncio.SelectorEventLoop):
    """An event loop whose clock goes on only when all wait for it: no machine is too slow for it.

    `asyncio.Runner(loop_factory=HeldClock)` runs a test that waits for nothing outside.
    """

    def __init__(self) -> None:
        self._leaping = _Leaping()
        super().__init__(self._leaping)

    def time(self) -> float:
        return self._leaping.gone_s
