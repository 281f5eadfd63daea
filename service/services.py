"""The objects that the routes of one application share, and the dependencies that give them."""

from collections import Counter
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends
from fastapi.security import HTTPBearer
from starlette.requests import HTTPConnection

from service.errors import Problem, ServiceError
from service.http.limits import CALLER, InFlight, Principal, Sockets
from service.inference import Inference
from service.security import Authenticator
from service.sessions import SessionStore
from service.settings import Settings
from service.telemetry import Metrics, Tracing

LISTS = ("boxes", "include", "doors")  # options that may be repeated
MOST_SHOWN = 60
BEARER = HTTPBearer(
    auto_error=False,
    description="An API key; not needed where the service listens on loopback without keys.",
)


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
