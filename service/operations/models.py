"""GET /models: which weights answer, under which terms, and how good they are."""

from typing import Any

from fastapi import APIRouter

from service.errors import Problem
from service.http.openapi import WITH_KEY, problem_responses
from service.schemas import ModelInfo, Models
from service.services import Caller, SharedServices

EXAMPLE = {
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
RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/json": {"example": EXAMPLE}}},
    **problem_responses("/models", (Problem.UNAVAILABLE, *WITH_KEY)),
}

router = APIRouter(tags=["models"])


@router.get("/models", summary="List the models that are served", responses=RESPONSES)
async def models(services: SharedServices, _: Caller) -> Models:
    """Every model with its version, weights hash, licence and measured figures."""
    found = await services.inference.describe()
    return Models(models=[ModelInfo.model_validate(item) for item in found])
