"""GET /health/live and /health/ready: for those who start, stop and balance replicas."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter

from service.errors import Problem, ServiceError
from service.routes.responses import problem_responses
from service.schemas import Live, Ready
from service.services import SharedServices

READY_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            "application/json": {
                "example": {"status": "ready", "device": "cpu", "models": ["align"]}
            }
        }
    },
    **problem_responses("/health/ready", (Problem.UNAVAILABLE,)),
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
    """Needs no key. The problem of a 503 names the device, the models there are, and the reason."""
    state = await services.inference.readiness()
    if not state.ready:
        raise ServiceError(
            Problem.UNAVAILABLE, state.reason or "not ready", extensions=asdict(state)
        )
    return Ready(device=state.device, models=list(state.models))
