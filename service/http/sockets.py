"""The open sockets of this process: so many of each principal, and all of them stoppable."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from service.errors import Problem, ServiceError
from service.telemetry.metrics import Metrics


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
