"""Limits: requests and sockets at once, rates of keys, shares of principals."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from prometheus_client import Gauge

from service.errors import Problem, ServiceError
from service.telemetry import Metrics

RETRY_OVERLOADED_S = 1  # most requests are done by then
BURST_S = 10.0  # of a rate, at once: a page loads many pictures together


class InFlight:
    """A bound on requests at once, so that memory and waiting times stay bounded.

    Those whose bodies still come are counted apart from those at work or waiting for it: a client
    that sends slowly keeps no other one from being answered. Of the `most` places one principal may
    have `each`.
    """

    def __init__(self, most: int, gauge: Gauge, each: int | None = None) -> None:
        self.most = most
        self.each = most if each is None else each
        self._gauge = gauge
        self._held: Counter[str] = Counter()

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Hold a place for a request of who asks; raises ServiceError when none is free."""
        owner = CALLER.get().name
        if self._held.total() >= self.most:
            raise _overloaded(
                f"{self.most} requests are in flight already, the most that are taken at once"
            )
        if self._held[owner] >= self.each:
            raise _overloaded(
                f"{self.each} requests of yours are in flight already, your share of {self.most}"
            )
        self._held[owner] += 1
        self._gauge.set(self._held.total())
        try:
            yield
        finally:
            self._held[owner] -= 1
            self._held += Counter()  # forgets those who have none
            self._gauge.set(self._held.total())


def _overloaded(detail: str) -> ServiceError:
    return ServiceError(
        Problem.OVERLOADED, detail, headers={"Retry-After": str(RETRY_OVERLOADED_S)}
    )


class Bucket:
    """A token bucket: `burst_s` seconds' worth at once, then a steady rate.

    Its contents are kept as a time: until when all that came would have taken at the rate.
    """

    def __init__(
        self, rate_hz: float, burst_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate_hz = rate_hz
        self._burst_s = burst_s
        self._clock = clock
        self._paid_s = clock() - burst_s

    def wait_s(self, count: float = 0) -> float:
        """Return the seconds until `count` more are paid for, 0 if they are; 0 for what is owed."""
        paid_s = max(self._paid_s, self._clock() - self._burst_s)
        return max(0.0, paid_s + count / self._rate_hz - self._clock())

    async def wait(self) -> None:
        """Return when nothing is owed."""
        if (seconds := self.wait_s()) > 0:
            await asyncio.sleep(seconds)

    def take(self, count: float = 1) -> None:
        """Count so many; more than there are is owed for."""
        self._paid_s = max(self._paid_s, self._clock() - self._burst_s) + count / self._rate_hz


class Meter(Bucket):
    """Meter of what one key sends: ten seconds' worth at once, then `per_minute` of `what`.

    What has begun is let through and owed for: nobody knows how long a body will be.
    """

    def __init__(
        self, per_minute: int, what: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        # One at least, also of a rate that ten seconds are too short for.
        super().__init__(per_minute / 60, max(BURST_S, 60 / per_minute), clock)
        self.per_minute = per_minute
        self._what = what

    def check(self, count: float = 0) -> None:
        """Raise ServiceError with Retry-After where `count` more are too many."""
        if (seconds := self.wait_s(count)) > 0:
            wait_s = math.ceil(seconds)
            raise ServiceError(
                Problem.RATE_LIMITED,
                f"this key may send {self.per_minute} {self._what} a minute; wait {wait_s} s",
                headers={"Retry-After": str(wait_s)},
            )


@dataclass(frozen=True)
class Principal:
    """The asker; several keys may stand for one principal, and sessions belong to the principal.

    `meter` counts the bytes that the key sends, `pixels` what is decoded of them; `max_sockets` is
    the most that may be open while this key opens one, the setting's where None.
    """

    name: str
    key_id: str | None = None
    meter: Meter | None = field(default=None, compare=False)
    max_sockets: int | None = None
    pixels: Meter | None = field(default=None, compare=False)

    async def look(self, pixels: int) -> None:
        """Count pixels that are to be decoded, once those before are paid for."""
        if self.pixels is not None:
            await self.pixels.wait()
            self.pixels.take(pixels)


ANONYMOUS = Principal("anonymous")
# Whom the request or the socket that is served here is from.
CALLER: ContextVar[Principal] = ContextVar("caller", default=ANONYMOUS)


class Sockets:
    """Counts sockets by owner; once stopped it takes no more and waits for those there are."""

    def __init__(self, most: int, metrics: Metrics) -> None:
        self._most = most
        self._metrics = metrics
        self._open: Counter[str] = Counter()
        self._stops: set[Callable[[], None]] = set()
        self._stopping = False
        self._none_left = asyncio.Event()

    @contextmanager
    def place(self, model: str, owner: str, most: int | None = None) -> Iterator[None]:
        """Hold a place for a socket of `owner`, who may have `most`, if that is not the usual.

        Raises ServiceError when there is none.
        """
        if self._stopping:
            raise ServiceError(Problem.STOPPING, "connect again")
        if self._open[owner] >= (most := self._most if most is None else most):
            raise ServiceError(Problem.TOO_MANY_SOCKETS, f"{most} may be open, and are")
        self._open[owner] += 1
        self._metrics.sockets.labels(model).inc()
        try:
            yield
        finally:
            self._metrics.sockets.labels(model).dec()
            self._open[owner] -= 1
            self._open += Counter()  # forgets those who have none
            if not self._open:
                self._none_left.set()

    @contextmanager
    def listed(self, stop: Callable[[], None]) -> Iterator[None]:
        """Call `stop`, which makes a live session close, when the sockets are stopped."""
        self._stops.add(stop)
        if self._stopping:
            stop()
        try:
            yield
        finally:
            self._stops.remove(stop)

    async def stop(self) -> None:
        """Take no more sockets, stop every stream, and return when the last socket has closed."""
        self._stopping = True
        for stop in set(self._stops):
            stop()
        self._none_left.clear()
        if self._open:
            await self._none_left.wait()
