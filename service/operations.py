"""Routes for operators and people: health, metrics, models, what is kept of sessions, tokens."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import Field

from service.affect.session import MODEL as AFFECT
from service.errors import Problem, ServiceError
from service.http.openapi import WITH_KEY, responses
from service.keys import TOKEN_PREFIX, Door
from service.live.serving import STORE, SessionName
from service.schemas import (
    Body,
    Limits,
    Live,
    ModelInfo,
    Models,
    Ready,
    SessionInfo,
    StoreState,
    StreamInfo,
)
from service.services import Caller, SharedServices
from service.sessions import Address, Session, SessionStore, StoreUnavailable
from service.settings import Settings
from service.telemetry import CONTENT_TYPE
from service.track.session import MODEL as TRACK

READY_EXAMPLE = {
    "status": "ready",
    "device": "cpu",
    "models": ["align", "track", "affect"],
    "absent": {},
    "store": {"kind": "redis", "ready": True, "reason": None},
    "limits": {
        "picture_bytes": 10_485_760,
        "picture_pixels": 50_000_000,
        "clip_bytes": 268_435_456,
        "clip_s": 600.0,
    },
}
METRICS_EXAMPLE = 'countenance_requests_total{method="POST",route="/align",status="200"} 12.0\n'
MODEL_EXAMPLE = {
    "name": "align",
    "version": "0.1.0",
    "sha256": "9f2c" + 60 * "0",
    "licence": "research only",
    "figures": {"HELEN test, ground-truth box, AUC at 0.08": 0.75},
}
STREAM_EXAMPLE = {
    "model": "track",
    "step": 33,
    "created": "2025-03-01T10:00:00.000Z",
    "updated": "2025-03-01T10:00:01.280Z",
    "expires": "2025-03-01T10:15:01.280Z",
    "state_bytes": 12345,
}
TOKEN_EXAMPLE = {
    "token": f"{TOKEN_PREFIX}WyJ3ZWItMWEyYjNjIixbInRyYWNrIl0sMTc0MDgyMzIwMF0.mK3c",
    "doors": ["track"],
    "expires": "2025-03-01T10:00:00Z",
}
NOT_READY = (Problem.UNAVAILABLE, Problem.STORE_UNAVAILABLE)
NO_TOKEN = (Problem.NOT_FOUND, Problem.INVALID_REQUEST, Problem.WRONG_DOOR, *WITH_KEY)
MODELS = (TRACK, AFFECT)
router = APIRouter()


@router.get(
    "/health/live",
    summary="Say that the process answers",
    responses=responses("/health/live", (), {"status": "alive"}),
    tags=["health"],
)
async def live() -> Live:
    """Answer without a key, and without asking a model."""
    return Live()


@router.get(
    "/health/ready",
    summary="Say whether requests can be answered",
    responses=responses("/health/ready", NOT_READY, READY_EXAMPLE),
    tags=["health"],
)
async def ready(services: SharedServices) -> Ready:
    """Answer without a key. The problem of a 503 names the device, the models there are, the
    store of the sessions, and the reason.
    """
    state = await services.inference.readiness()
    store = await _examine(services.store)
    if not (state.ready and store.ready):
        problem = Problem.STORE_UNAVAILABLE if state.ready else Problem.UNAVAILABLE
        # Models may be ready where the store is not: that is not ready as a whole.
        found = {**asdict(state), "ready": False, "store": store.model_dump()}
        reason = state.reason or store.reason or "not ready"
        raise ServiceError(problem, reason, extensions=found)
    return Ready(
        device=state.device,
        models=list(state.models),
        absent=dict(state.absent),
        store=store,
        limits=_limits(services.settings),
    )


def _limits(settings: Settings) -> Limits:
    return Limits(
        picture_bytes=settings.max_upload_bytes,
        picture_pixels=settings.max_pixels,
        clip_bytes=settings.max_clip_bytes,
        clip_s=settings.max_clip_s,
    )


async def _examine(store: SessionStore) -> StoreState:
    try:
        await store.check()
    except StoreUnavailable as error:
        return StoreState(kind=store.kind, ready=False, reason=error.reason)
    return StoreState(kind=store.kind, ready=True)


@router.get(
    "/metrics",
    summary="Report counters and timings",
    response_class=Response,
    response_description="Prometheus's text format.",
    responses=responses(
        "/metrics", WITH_KEY, METRICS_EXAMPLE, "text/plain", schema={"type": "string"}
    ),
    tags=["health"],
)
async def metrics(services: SharedServices, _: Caller) -> Response:
    """Return requests, latencies by stage, faces found, requests in flight, bytes and memory."""
    return Response(services.metrics.render(), headers={"Content-Type": CONTENT_TYPE})


@router.get(
    "/models",
    summary="List the models that are served",
    responses=responses("/models", (Problem.UNAVAILABLE, *WITH_KEY), {"models": [MODEL_EXAMPLE]}),
    tags=["models"],
)
async def models(services: SharedServices, _: Caller) -> Models:
    """Return every model with its version, weights hash, licence and measured figures."""
    found = await services.inference.describe()
    return Models(models=[ModelInfo.model_validate(item) for item in found])


@router.get(
    "/sessions/{session}",
    summary="Tell what is kept of a session",
    responses=responses(
        "/sessions/camera-1",
        (Problem.NOT_FOUND, *STORE),
        {"session": "camera-1", "streams": [STREAM_EXAMPLE]},
    ),
    tags=["sessions"],
)
async def session_info(
    session: SessionName, services: SharedServices, caller: Caller
) -> SessionInfo:
    """Return its steps, times and size. Only its owner's keys reach it; no picture is ever kept."""
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
    responses=responses("/tokens", NO_TOKEN, TOKEN_EXAMPLE),
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
