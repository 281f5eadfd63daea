"""GET /metrics: counters and timings for Prometheus."""

from typing import Any

from fastapi import APIRouter, Response

from service.http.openapi import WITH_KEY, problem_responses
from service.services import Caller, SharedServices
from service.telemetry.metrics import CONTENT_TYPE

EXAMPLE = 'countenance_requests_total{method="POST",route="/align",status="200"} 12.0\n'
RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Prometheus's text format.",
        "content": {"text/plain": {"schema": {"type": "string"}, "example": EXAMPLE}},
    },
    **problem_responses("/metrics", WITH_KEY),
}

router = APIRouter(tags=["health"])


@router.get(
    "/metrics",
    summary="Report counters and timings",
    response_class=Response,
    responses=RESPONSES,
)
async def metrics(services: SharedServices, _: Caller) -> Response:
    """Requests, latencies by stage, faces found, requests in flight, bytes, memory."""
    return Response(services.metrics.render(), headers={"Content-Type": CONTENT_TYPE})
