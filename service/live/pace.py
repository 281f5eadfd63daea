"""How often something may happen: a steady rate, with a little at once."""

import asyncio
import time
from collections.abc import Callable

BURST_S = 0.25


class Pace:
    """Spaces events to `rate_hz` in the long run; a quarter of a second's worth may come at once.

    `wait` and `take` are two steps because what is waited with may be replaced meanwhile.
    """

    def __init__(self, rate_hz: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval_s = 1 / rate_hz
        self._clock = clock
        self._next_s = 0.0  # when the next event were due if all had come evenly

    @property
    def wait_s(self) -> float:
        """Seconds until the next event may happen, 0 if now."""
        return max(0.0, self._next_s - BURST_S - self._clock())

    async def wait(self) -> None:
        """Return when the next event may happen."""
        if (seconds := self.wait_s) > 0:
            await asyncio.sleep(seconds)

    def take(self) -> None:
        """Count one event."""
        self._next_s = max(self._next_s, self._clock()) + self._interval_s
