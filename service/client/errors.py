"""What a call may end with instead of an answer: the service's problem, or no service at all."""

import json
from typing import Any

import httpx
from websockets.exceptions import ConnectionClosed, InvalidStatus

from service.errors import BY_SLUG, URN, Problem


class CallError(Exception):
    """Every error of a client; `str()` is one line for people."""


class UnreachableError(CallError):
    """There is no service of ours at the address, or it cannot be reached for too long."""


class ProblemError(CallError):
    """What the service would not do, in its own words (RFC 9457).

    `type` is the stable name, such as `urn:countenance:problem:not-an-image`; `status` the HTTP
    status; `retry_after` the seconds after which the service wants to be asked again, if it said.
    """

    def __init__(
        self, type: str, title: str, status: int, detail: str, retry_after: float | None = None
    ) -> None:
        super().__init__(f"{title}: {detail}" if detail else title)
        self.type = type
        self.title = title
        self.status = status
        self.detail = detail
        self.retry_after = retry_after

    @property
    def problem(self) -> Problem | None:
        """The problem as this version of the client knows it, None for one that it does not."""
        return BY_SLUG.get(self.type.removeprefix(URN))


def problem_of(body: object, retry_after: str | None = None) -> ProblemError | None:
    """The problem that a decoded JSON body tells, None where it is none of ours."""
    if not isinstance(body, dict):
        return None
    try:
        return ProblemError(
            str(body["type"]),
            str(body["title"]),
            int(body["status"]),
            str(body["detail"]),
            float(retry_after) if retry_after is not None else None,
        )
    except (KeyError, ValueError):
        return None


def refusal(response: httpx.Response) -> CallError:
    """What a response that is no success means."""
    found = problem_of(_json(response.content), response.headers.get("Retry-After"))
    return found or UnreachableError(
        f"{response.url} answered {response.status_code}, not as Countenance does"
    )


def handshake_refusal(error: InvalidStatus, url: str) -> CallError:
    """What the service's answer to a socket's opening means."""
    response = error.response
    found = problem_of(_json(response.body), response.headers.get("Retry-After"))
    return found or UnreachableError(
        f"{url} answered {response.status_code}, not as Countenance does"
    )


def close_refusal(error: ConnectionClosed) -> ProblemError | None:
    """The problem that a socket was closed for; None where the connection just ended."""
    slug = error.rcvd.reason if error.rcvd is not None else ""
    if (problem := BY_SLUG.get(slug)) is None:
        return None
    return ProblemError(problem.uri, problem.title, problem.status, "")


def _json(body: bytes | bytearray | None) -> Any:
    try:
        return json.loads(body or b"")
    except ValueError:
        return None
