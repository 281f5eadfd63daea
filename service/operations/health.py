"""Routes for operators: health, metrics, and the models that are served."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Response

from service.errors import Problem, ServiceError
from service.http.openapi import WITH_KEY, problem_responses
from service.schemas import Limits, Live, ModelInfo, Models, Ready, StoreState
from service.services import Caller, SharedServices
from service.sessions import SessionStore, StoreUnavailable
from service.settings import Settings
from service.telemetry import CONTENT_TYPE

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

router = APIRouter()
METRICS_EXAMPLE = 'countenance_requests_total{method="POST",route="/align",status="200"} 12.0\n'
METRICS_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Prometheus's text format.",
        "content": {"text/plain": {"schema": {"type": "string"}, "example": METRICS_EXAMPLE}},
    },
    **problem_responses("/metrics", WITH_KEY),
}
MODELS_EXAMPLE = {
    "models": [
        {
            "name": "align",
            "version": "0.1.0",
            "sha256": "9f2c" + 60 * "0",
            "licence": "research only",
            "figures": {"HELEN test, ground-truth box, AUC at 0.08": 0.75},
        }
    ]
}
MODELS_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/json": {"example": MODELS_EXAMPLE}}},
    **problem_responses("/models", (Problem.UNAVAILABLE, *WITH_KEY)),
}


@router.get(
    "/health/live",
    summary="Say that the process answers",
    responses=LIVE_RESPONSES,
    tags=["health"],
)
async def live() -> Live:
    """Needs no key and asks no model."""
    return Live()


@router.get(
    "/health/ready",
    summary="Say whether requests can be answered",
    responses=READY_RESPONSES,
    tags=["health"],
)
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


@router.get(
    "/metrics",
    summary="Report counters and timings",
    response_class=Response,
    responses=METRICS_RESPONSES,
    tags=["health"],
)
async def metrics(services: SharedServices, _: Caller) -> Response:
    """Requests, latencies by stage, faces found, requests in flight, bytes, memory."""
    return Response(services.metrics.render(), headers={"Content-Type": CONTENT_TYPE})


@router.get(
    "/models",
    summary="List the models that are served",
    responses=MODELS_RESPONSES,
    tags=["models"],
)
async def models(services: SharedServices, _: Caller) -> Models:
    """Every model with its version, weights hash, licence and measured figures."""
    found = await services.inference.describe()
    return Models(models=[ModelInfo.model_validate(item) for item in found])
