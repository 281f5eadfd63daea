"""The objects that the routes of one application share, with bounds on requests and sockets."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends
from fastapi.security import HTTPBearer
from prometheus_client import Gauge
from starlette.requests import HTTPConnection

from service.errors import Problem, ServiceError
from service.inference import Inference
from service.security import CALLER, Authenticator, Principal
from service.sessions import SessionStore
from service.settings import Settings
from service.telemetry import Metrics, Tracing

RETRY_OVERLOADED_S = 1  # most requests are done by then
LISTS = ("boxes", "include", "doors")  # options that may be repeated
MOST_SHOWN = 60
BEARER = HTTPBearer(
    auto_error=False,
    description="An API key; not needed where the service listens on loopback without keys.",
)


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


@dataclass(frozen=True)
class Services:
    """Everything that lives as long as the application."""

    settings: Settings
    inference: Inference
    store: SessionStore
    sockets: Sockets
    authenticator: Authenticator
    uploads: InFlight
    in_flight: InFlight
    clips: InFlight
    metrics: Metrics
    tracing: Tracing


async def get_services(connection: HTTPConnection) -> Services:
    """Return what the application shares."""
    return cast(Services, connection.app.state.services)


SharedServices = Annotated[Services, Depends(get_services)]


async def get_principal(
    connection: HTTPConnection, services: SharedServices, _: Annotated[object, Depends(BEARER)]
) -> Principal:
    """Return who asks, for requests and sockets; raises ServiceError without a valid key."""
    principal = services.authenticator.authenticate(connection)
    check_query(connection)
    connection.state.key_id = principal.key_id
    connection.state.meter = principal.meter
    CALLER.set(principal)
    return principal


def check_query(connection: HTTPConnection) -> None:
    """Raise ServiceError for an option that is given twice: one of them would be lost."""
    names = Counter(name for name, _ in connection.query_params.multi_items())
    twice = sorted(name for name, count in names.items() if count > 1 and name not in LISTS)
    if twice:
        detail = f"query.{twice[0][:MOST_SHOWN]}: given {names[twice[0]]} times; once is right"
        raise ServiceError(Problem.INVALID_REQUEST, detail)


Caller = Annotated[Principal, Depends(get_principal)]
