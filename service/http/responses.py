"""OpenAPI's view of the problems that a route can answer with."""

from collections.abc import Iterable
from typing import Any

from service.errors import Problem
from service.http.openapi import PROBLEM_SCHEMA
from service.http.problems import MEDIA_TYPE
from service.schemas import ProblemBody

ALWAYS = (
    Problem.INVALID_HOST,
    Problem.ORIGIN_NOT_ALLOWED,
    Problem.FORWARDED_WITHOUT_KEYS,
    Problem.INTERNAL,
)
WITH_KEY = (Problem.UNAUTHENTICATED, Problem.RATE_LIMITED)
PICTURE = (
    Problem.BODY_TOO_SLOW,
    Problem.BODY_TOO_LARGE,
    Problem.NOT_AN_IMAGE,
    Problem.UNSUPPORTED_FORMAT,
    Problem.UNSUPPORTED_MEDIA_TYPE,
    Problem.EMPTY_BODY,
    Problem.INVALID_MULTIPART,
    Problem.INVALID_IMAGE,
    Problem.TRUNCATED_IMAGE,
    Problem.TOO_MANY_PIXELS,
)
MODEL = (Problem.OVERLOADED, Problem.UNAVAILABLE, Problem.TIMEOUT)


def problem_responses(path: str, problems: Iterable[Problem]) -> dict[int | str, dict[str, Any]]:
    """Return FastAPI's `responses` for these problems and those that any request can meet."""
    by_status: dict[int, list[Problem]] = {}
    for problem in (*problems, *ALWAYS):
        by_status.setdefault(problem.status, []).append(problem)
    return {status: _response(path, found) for status, found in sorted(by_status.items())}


def _response(path: str, problems: list[Problem]) -> dict[str, Any]:
    examples = {problem.slug: {"value": _example(path, problem)} for problem in problems}
    content = {MEDIA_TYPE: {"schema": PROBLEM_SCHEMA, "examples": examples}}
    return {"description": "; ".join(problem.title for problem in problems), "content": content}


def _example(path: str, problem: Problem) -> dict[str, Any]:
    body = ProblemBody(
        type=problem.uri,
        title=problem.title,
        status=problem.status,
        detail="What was found in this case, and what would be right.",
        instance=path,
        request_id="6f1d2c5e8b9a4f0d9c3e7a1b2d4f6a8c",
    )
    return body.model_dump(exclude_none=True)
