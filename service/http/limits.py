"""How much at once and how fast: requests in flight, requests and bytes a minute of each key."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import Gauge

from service.errors import Problem, ServiceError

RETRY_OVERLOADED_S = 1
BURST_S = 10.0


class InFlight:
    """A bound on requests at once, so that memory and waiting times stay bounded.

    Those whose bodies still come are counted apart from those at work or waiting for it: a client
    that sends slowly keeps no other one from being answered.
    """

    def __init__(self, most: int, gauge: Gauge) -> None:
        self.most = most
        self._gauge = gauge
        self._count = 0

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Hold one of the places for a request; raises ServiceError when none is free."""
        if self._count >= self.most:
            raise ServiceError(
                Problem.OVERLOADED,
                f"{self._count} requests are in flight already, the most that are taken at once",
                headers={"Retry-After": str(RETRY_OVERLOADED_S)},
            )
        self._count += 1
        self._gauge.set(self._count)
        try:
            yield
        finally:
            self._count -= 1
            self._gauge.set(self._count)


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
    """The bytes that one key sends: ten seconds' worth at once, then the steady rate.

    What has begun is let through and owed for: nobody knows how long a body will be.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_minute = per_minute
        self._clock = clock
        self._paid_s = clock() - BURST_S  # until when what was sent would have taken at the rate

    @property
    def owed_s(self) -> float:
        """Seconds until more may be sent, 0 if now."""
        return max(0.0, self._paid_s - self._clock())

    def take(self, count: int) -> None:
        """Count so many bytes."""
        begun_s = max(self._paid_s, self._clock() - BURST_S)
        self._paid_s = begun_s + count * 60 / self.per_minute

    def check(self) -> None:
        """Raise ServiceError with Retry-After when too many bytes came lately."""
        if (owed_s := self.owed_s) > 0:
            wait_s = math.ceil(owed_s)
            raise ServiceError(
                Problem.RATE_LIMITED,
                f"this key may send {self.per_minute} bytes a minute; wait {wait_s} s",
                headers={"Retry-After": str(wait_s)},
            )
