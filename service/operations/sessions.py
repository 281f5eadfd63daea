"""GET /sessions/{session}: what is kept under a session's name, and for how long."""

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter

from service.affect.model import MODEL as AFFECT
from service.errors import Problem, ServiceError
from service.http.openapi import problem_responses
from service.live.serving import STORE, SessionName
from service.schemas import SessionInfo, StreamInfo
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

router = APIRouter(tags=["sessions"])


@router.get("/sessions/{session}", summary="Tell what is kept of a session", responses=RESPONSES)
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
