"""POST /tokens: a key into a token of minutes, for web pages that must not hold the key."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field

from service.errors import Problem
from service.http.openapi import WITH_KEY, problem_responses
from service.schemas import Body
from service.services import Caller, SharedServices
from service.tokens import TOKEN_PREFIX, Door

EXAMPLE = {
    "token": f"{TOKEN_PREFIX}WyJ3ZWItMWEyYjNjIixbInRyYWNrIl0sMTc0MDgyMzIwMF0.mK3c",
    "doors": ["track"],
    "expires": "2025-03-01T10:00:00Z",
}
RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/json": {"example": EXAMPLE}}},
    **problem_responses(
        "/tokens", (Problem.NOT_FOUND, Problem.INVALID_REQUEST, Problem.WRONG_DOOR, *WITH_KEY)
    ),
}

router = APIRouter(tags=["tokens"])


class Token(Body):
    """What a web page may use in place of a key, for a while."""

    token: str = Field(description="To be sent as a key is.")
    doors: list[Door] = Field(description="The first parts of the addresses that it opens.")
    expires: datetime = Field(description="When no new request or socket is let in with it.")


@router.post("/tokens", summary="Change a key for a token of minutes", responses=RESPONSES)
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
