"""What the routes of every model's sessions take and answer, as OpenAPI shows it."""

from typing import Annotated, Any

from pydantic import Field

from service.errors import Problem
from service.http.responses import MODEL, WITH_KEY, problem_responses

StepNumber = Annotated[
    int | None,
    Field(
        ge=1,
        description="Number that this step is to have, from 1. A repeat of the last step returns "
        "its reply again, any other number is refused.",
    ),
]
STORE = (Problem.STORE_UNAVAILABLE, Problem.INVALID_REQUEST, *WITH_KEY)
STEP = (Problem.SESSION_TAKEN, Problem.WRONG_STEP, *MODEL, *STORE)


def end_responses(path: str) -> dict[int | str, dict[str, Any]]:
    """Return FastAPI's `responses` of what ends the session at `path`."""
    return {
        204: {"description": "The session has ended; its state is gone."},
        **problem_responses(path, (Problem.NOT_FOUND, *STORE)),
    }
