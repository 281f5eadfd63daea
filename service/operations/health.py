"""GET /health/live and /health/ready: for those who start, stop and balance replicas."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter

from service.errors import Problem, ServiceError
from service.http.openapi import problem_responses
from service.schemas import Limits, Live, Ready, StoreState
from service.services import SharedServices
from service.sessions import SessionStore, StoreUnavailable
from service.settings import Settings

READY_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            "application/json": {
                "example": {
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
            }
        }
    },
    **problem_responses("/health/ready", (Problem.UNAVAILABLE, Problem.STORE_UNAVAILABLE)),
}
LIVE_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/json": {"example": {"status": "alive"}}}},
    **problem_responses("/health/live", ()),
}

router = APIRouter(prefix="/health", tags=["health"])


@router.get("/live", summary="Say that the process answers", responses=LIVE_RESPONSES)
async def live() -> Live:
    """Needs no key and asks no model."""
    return Live()


@router.get("/ready", summary="Say whether requests can be answered", responses=READY_RESPONSES)
async def ready(services: SharedServices) -> Ready:
    """Needs no key. The problem of a 503 names the device, the models there are, the store of the
    sessions, and the reason.
    """
    state = await services.inference.readiness()
    store = await _examine(services.store)
    if not (state.ready and store.ready):
        problem = Problem.STORE_UNAVAILABLE if state.ready else Problem.UNAVAILABLE
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
