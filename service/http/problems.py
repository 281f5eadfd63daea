"""Errors into replies: application/problem+json (RFC 9457), close codes, why a start failed."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import anyio
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from service.errors import ConfigurationError, Problem, ServiceError
from service.schemas import ProblemBody

MEDIA_TYPE = "application/problem+json"
START_FAILED = "lifespan.startup.failed"
LINGER_S = 2.0  # for a client to read its reply before the connection is reset
HTTP_PROBLEMS: Mapping[int, Problem] = {
    404: Problem.NOT_FOUND,
    405: Problem.METHOD_NOT_ALLOWED,
    500: Problem.INTERNAL,
}
MAX_INPUT_SHOWN = 80  # of what was found, which may be a whole picture
logger = logging.getLogger(__name__)
SUBPROTOCOL = "countenance"  # offered beside `bearer.<key>`, and the only one that is sent back


class ProblemResponse(JSONResponse):
    """A problem as a reply; its media type is the only difference to JSON."""

    media_type = MEDIA_TYPE


class LingeringResponse(ProblemResponse):
    """Answers before the upload has ended, then reads on for a moment before it closes.

    Closing at once would reset the connection, and the client might lose the reply that it has not
    read while it was still sending. What arrives meanwhile is thrown away.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the whole reply, wait up to LINGER_S for the rest of the upload, then finish."""
        start = {"type": "http.response.start", "status": self.status_code}
        await send({**start, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        with anyio.move_on_after(LINGER_S):
            while (await receive()).get("more_body", False):
                pass
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def problem_body(error: ServiceError, connection: HTTPConnection) -> dict[str, Any]:
    """Return the members of the problem's JSON object."""
    body = ProblemBody(
        type=error.problem.uri,
        title=error.problem.title,
        status=error.problem.status,
        detail=error.detail,
        instance=connection.scope.get("path", ""),
        request_id=connection.scope.get("state", {}).get("request_id", ""),
    )
    return {**body.model_dump(exclude_none=True), **error.extensions}


def problem_response(error: ServiceError, connection: HTTPConnection) -> Response:
    """Return the reply for `error`; one that ends the connection lingers for the upload's rest."""
    kind = LingeringResponse if "Connection" in error.headers else ProblemResponse
    return kind(problem_body(error, connection), error.problem.status, error.headers)


def install_error_handlers(app: FastAPI) -> None:
    """Make every error of `app` a problem: ours, the framework's 404 and 405, and validation."""

    async def answer(connection: HTTPConnection, error: Exception) -> Response | None:
        known = as_service_error(error, _options(connection))
        if known.problem is Problem.METHOD_NOT_ALLOWED:
            known.headers.update(_allow(connection))
        if known.problem is Problem.INTERNAL:
            logger.error("request failed", exc_info=error)
        if isinstance(connection, WebSocket):
            await connection.close(known.problem.close_code, known.problem.slug)
            return None
        return problem_response(known, connection)

    for kind in (
        ServiceError,
        HTTPException,
        RequestValidationError,
        WebSocketRequestValidationError,
    ):
        app.add_exception_handler(kind, answer)  # type: ignore[arg-type]


def as_service_error(error: Exception, options: Sequence[str] = ()) -> ServiceError:
    """Translate the framework's errors; whatever is unknown becomes `internal`.

    `options` are those of the address, for who named another one.
    """
    if isinstance(error, ServiceError):
        return error
    if isinstance(error, RequestValidationError | WebSocketRequestValidationError):
        return _invalid_request(error.errors(), options)
    if isinstance(error, HTTPException):
        problem = HTTP_PROBLEMS.get(error.status_code, Problem.HTTP_ERROR)
        return ServiceError(problem, str(error.detail), error.headers)
    return ServiceError(Problem.INTERNAL, "see the log for this request id")


def _allow(connection: HTTPConnection) -> dict[str, str]:
    """Return the Allow header of an address; the framework's has one function's methods alone."""
    path = getattr(connection.scope.get("route"), "path", None)
    methods = connection.app.openapi()["paths"].get(path, {})
    return {"Allow": ", ".join(sorted(method.upper() for method in methods))} if methods else {}


def _options(connection: HTTPConnection) -> list[str]:
    """Return the names of the options that an address takes."""
    path = getattr(connection.scope.get("route"), "path", None)
    methods = connection.app.openapi()["paths"].get(path, {})
    described = methods.get(str(connection.scope.get("method")).lower(), {})
    return [one["name"] for one in described.get("parameters", ()) if one["in"] == "query"]


def mistake(item: Mapping[str, Any], options: Iterable[str]) -> str:
    """Say what is wrong with one value, an entry of pydantic's errors; of an unknown option, which
    `options` there are.
    """
    known = ", ".join(options)
    if item["type"] == "extra_forbidden" and known:
        return f"this is no option here; options are {known}"
    return str(item["msg"])


def _invalid_request(errors: Sequence[Any], options: Sequence[str]) -> ServiceError:
    found = [
        {
            "where": ".".join(str(part) for part in item["loc"]),
            "message": mistake(item, options),
            "input": repr(item.get("input"))[:MAX_INPUT_SHOWN],
        }
        for item in errors
    ]
    detail = "; ".join(f"{item['where']}: {item['message']}" for item in found)
    return ServiceError(Problem.INVALID_REQUEST, detail, extensions={"errors": found})


async def refuse_socket(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    """Close a socket with the problem's code.

    Pages hear nothing of a socket that was never accepted, and would try for ever; so one of
    another origin is accepted first, and told.
    """
    if problem is Problem.ORIGIN_NOT_ALLOWED:
        await receive()  # the wish to connect
        chosen = SUBPROTOCOL if SUBPROTOCOL in scope.get("subprotocols", ()) else None
        await send({"type": "websocket.accept", "subprotocol": chosen})
    await send({"type": "websocket.close", "code": problem.close_code, "reason": problem.slug})


async def report_start(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Run the application's life; tell why its start failed without a traceback where operators
    can mend it.
    """
    failed: list[Message] = []

    async def hold(message: Message) -> None:
        if message["type"] == START_FAILED:
            failed.append(message)
        else:
            await send(message)

    try:
        await app(scope, receive, hold)
    # What operators can mend; anything else is a mistake of ours and needs its traceback.
    except (ConfigurationError, OSError, ValueError) as error:
        if not failed:
            raise
        await send({"type": START_FAILED, "message": f"the service cannot start: {error}"})
    except BaseException:
        for message in failed:
            await send(message)
        raise
