"""How much at once and how fast, and by whom: shares of principals, rates of keys, sockets."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol

from prometheus_client import Gauge

from service.errors import Problem, ServiceError
from service.telemetry import Metrics

RETRY_OVERLOADED_S = 1
BURST_S = 10.0


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


class RateLimiter:
    """A token bucket a name: ten seconds' worth of requests at once, then the steady rate."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, name: str, per_minute: int) -> None:
        """Count one request of `name`; raises ServiceError with Retry-After when it is too many."""
        rate_hz = per_minute / 60
        capacity = max(1.0, rate_hz * BURST_S)
        now = self._clock()
        tokens, last = self._buckets.get(name, (capacity, now))
        tokens = min(capacity, tokens + (now - last) * rate_hz)
        if tokens < 1:
            wait_s = math.ceil((1 - tokens) / rate_hz)
            raise ServiceError(
                Problem.RATE_LIMITED,
                f"this key may send {per_minute} requests a minute; wait {wait_s} s",
                headers={"Retry-After": str(wait_s)},
            )
        self._buckets[name] = (tokens - 1, now)


class Meter:
    """The bytes, or the pixels, that one key sends: ten seconds' worth at once, then a steady rate.

    What has begun is let through and owed for: nobody knows how long a body will be. `what` names
    what is counted.
    """

    def __init__(
        self, per_minute: int, clock: Callable[[], float] = time.monotonic, what: str = "bytes"
    ) -> None:
        self.per_minute = per_minute
        self.what = what
        self._clock = clock
        self._paid_s = clock() - BURST_S  # until when what was sent would have taken at the rate

    @property
    def owed_s(self) -> float:
        """Seconds until more may be sent, 0 if now."""
        return max(0.0, self._paid_s - self._clock())

    def take(self, count: int) -> None:
        """Count so many."""
        begun_s = max(self._paid_s, self._clock() - BURST_S)
        self._paid_s = begun_s + count * 60 / self.per_minute

    def check(self) -> None:
        """Raise ServiceError with Retry-After when too many came lately."""
        if (owed_s := self.owed_s) > 0:
            wait_s = math.ceil(owed_s)
            raise ServiceError(
                Problem.RATE_LIMITED,
                f"this key may send {self.per_minute} {self.what} a minute; wait {wait_s} s",
                headers={"Retry-After": str(wait_s)},
            )


@dataclass(frozen=True)
class Principal:
    """Who asks; several keys may stand for one principal, and sessions belong to the principal.

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
            await asyncio.sleep(self.pixels.owed_s)
            self.pixels.take(pixels)


ANONYMOUS = Principal("anonymous")
# Whom the request or the socket that is served here is from.
CALLER: ContextVar[Principal] = ContextVar("caller", default=ANONYMOUS)


class Stoppable(Protocol):
    """A live session as far as stopping goes."""

    def stop(self) -> None:
        """Answer what was read, then close."""


class Sockets:
    """Counts sockets by owner; once stopped it takes no more and waits for those there are."""

    def __init__(self, most: int, metrics: Metrics) -> None:
        self._most = most
        self._metrics = metrics
        self._open: Counter[str] = Counter()
        self._streams: set[Stoppable] = set()
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
    def listed(self, stream: Stoppable) -> Iterator[None]:
        """Let `stop` reach a stream for as long as it runs."""
        self._streams.add(stream)
        if self._stopping:
            stream.stop()
        try:
            yield
        finally:
            self._streams.remove(stream)

    async def stop(self) -> None:
        """Take no more sockets, stop every stream, and return when the last socket has closed."""
        self._stopping = True
        for stream in set(self._streams):
            stream.stop()
        self._none_left.clear()
        if self._open:
            await self._none_left.wait()
