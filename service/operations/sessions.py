"""Routes about the caller's own: the state of a session, and tokens for web pages."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field

from service.affect.session import MODEL as AFFECT
from service.errors import Problem, ServiceError
from service.http.openapi import WITH_KEY, problem_responses
from service.keys import TOKEN_PREFIX, Door
from service.live.serving import STORE, SessionName
from service.schemas import Body, SessionInfo, StreamInfo
from service.services import Caller, SharedServices
from service.sessions import Address, Session
from service.track.session import MODEL as TRACK

MODELS = (TRACK, AFFECT)
EXAMPLE = {
    "session": "camera-1",
    "streams": [
        {
            "model": "track",
            "step": 33,
            "created": "2025-03-01T10:00:00.000Z",
            "updated": "2025-03-01T10:00:01.280Z",
            "expires": "2025-03-01T10:15:01.280Z",
            "state_bytes": 12345,
        }
    ],
}
RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/json": {"example": EXAMPLE}}},
    **problem_responses("/sessions/camera-1", (Problem.NOT_FOUND, *STORE)),
}

router = APIRouter()
TOKEN_EXAMPLE = {
    "token": f"{TOKEN_PREFIX}WyJ3ZWItMWEyYjNjIixbInRyYWNrIl0sMTc0MDgyMzIwMF0.mK3c",
    "doors": ["track"],
    "expires": "2025-03-01T10:00:00Z",
}
TOKEN_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/json": {"example": TOKEN_EXAMPLE}}},
    **problem_responses(
        "/tokens", (Problem.NOT_FOUND, Problem.INVALID_REQUEST, Problem.WRONG_DOOR, *WITH_KEY)
    ),
}


@router.get(
    "/sessions/{session}",
    summary="Tell what is kept of a session",
    responses=RESPONSES,
    tags=["sessions"],
)
async def session_info(
    session: SessionName, services: SharedServices, caller: Caller
) -> SessionInfo:
    """Its steps, times and size. Only its owner's keys reach it; no picture is ever kept."""
    ttl_s = services.settings.session_ttl_s
    streams = []
    for model in MODELS:
        found = await services.store.load(Address(model, caller.name, session))
        if found is not None:
            streams.append(_describe(model, found, ttl_s))
    if not streams:
        raise ServiceError(Problem.NOT_FOUND, f"there is no session {session!r} of yours")
    return SessionInfo(session=session, streams=streams)


def _describe(model: str, session: Session, ttl_s: float) -> StreamInfo:
    return StreamInfo(
        model=model,
        step=session.step,
        created=datetime.fromtimestamp(session.created_s, UTC),
        updated=datetime.fromtimestamp(session.updated_s, UTC),
        expires=datetime.fromtimestamp(session.updated_s + ttl_s, UTC),
        state_bytes=len(session.state or b""),
    )


class Token(Body):
    """A token that a web page uses in place of a key, for a while."""

    token: str = Field(description="To be sent as a key is.")
    doors: list[Door] = Field(description="The first parts of the addresses that it opens.")
    expires: datetime = Field(description="When no new request or socket is let in with it.")


@router.post(
    "/tokens",
    summary="Change a key for a token of minutes",
    responses=TOKEN_RESPONSES,
    tags=["tokens"],
)
async def make_token(
    services: SharedServices,
    caller: Caller,
    doors: Annotated[
        set[Door], Query(min_length=1, description="What it is to open: align, track, affect.")
    ],
    minutes: Annotated[int, Query(ge=1, le=60, description="How long it is to last.")] = 10,
) -> Token:
    """Ask for it with the key, from a server of yours, and hand it to the page. It stands for the
    key's principal, counts towards the key's rates and ends with the key; it opens nothing but its
    doors, and no further tokens. A socket that it opened stays open.
    """
    named = sorted(doors)
    token, expires_s = services.authenticator.grant(caller, named, minutes * 60)
    return Token(token=token, doors=named, expires=datetime.fromtimestamp(expires_s, UTC))
