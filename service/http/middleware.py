"""The layer around every request: an id, one log line, measurements, and safe headers."""

import asyncio
import logging
import re
import time
import uuid
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import ConfigurationError, Problem, ServiceError
from service.http.problems import problem_response
from service.telemetry import REQUEST_ID, Metrics, Tracing, fields

PLAIN_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
QUIET_ROUTES = frozenset({"/health/live", "/health/ready", "/metrics"})
CLIENT_GONE = 499  # what nginx logs where nobody was left to answer
START_FAILED = "lifespan.startup.failed"
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}

logger = logging.getLogger(__name__)


class RequestContext:
    """The outermost layer: nothing that goes wrong inside leaves it without a reply and a line."""

    def __init__(self, app: ASGIApp, metrics: Metrics, tracing: Tracing) -> None:
        self._app = app
        self._metrics = metrics
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request, one socket, or the application's life."""
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
            return
        exchange = Exchange(scope, receive, send, request_id(Headers(scope=scope)))
        scope.setdefault("state", {})["request_id"] = exchange.request_id
        REQUEST_ID.set(exchange.request_id)
        with self._tracing.span("request", Headers(scope=scope)) as span:
            try:
                await self._app(scope, exchange.receive, exchange.send)
            except ClientDisconnect:
                exchange.status = CLIENT_GONE
            except asyncio.CancelledError:
                await exchange.fail(ServiceError(Problem.STOPPING, "ask again"))
                raise
            except Exception:
                logger.exception("request failed")
                await exchange.fail()
            finally:
                self._record(exchange)
                span.set_attribute("http.route", exchange.route)
                span.set_attribute("http.response.status_code", exchange.status)
                span.set_attribute("countenance.request_id", exchange.request_id)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Of a failed start tell only the reason, without a traceback, if operators can mend it."""
        failed: list[Message] = []

        async def hold(message: Message) -> None:
            if message["type"] == START_FAILED:
                failed.append(message)
            else:
                await send(message)

        try:
            await self._app(scope, receive, hold)
        except (ConfigurationError, OSError, ValueError) as error:
            if not failed:
                raise
            await send({"type": START_FAILED, "message": f"the service cannot start: {error}"})
        except BaseException:
            for message in failed:
                await send(message)
            raise

    def _record(self, exchange: "Exchange") -> None:
        seconds = time.perf_counter() - exchange.started
        method, route = exchange.method, exchange.route
        self._metrics.observe_request(method, route, exchange.status, seconds)
        self._metrics.bytes.labels("in").inc(exchange.bytes_in)
        self._metrics.bytes.labels("out").inc(exchange.bytes_out)
        known = fields(
            method=method,
            path=exchange.scope["path"],
            route=route,
            status=exchange.status,
            duration_ms=round(seconds * 1000, 1),
            bytes_in=exchange.bytes_in,
            bytes_out=exchange.bytes_out,
            key=exchange.scope["state"].get("key_id"),
        )
        logger.log(logging.DEBUG if route in QUIET_ROUTES else logging.INFO, "request", extra=known)


@dataclass
class Exchange:
    """One request and its reply as they pass by: counted, and the head given our headers."""

    scope: Scope
    inner_receive: Receive
    inner_send: Send
    request_id: str
    status: int = CLIENT_GONE
    bytes_in: int = 0
    bytes_out: int = 0
    answered: bool = False

    def __post_init__(self) -> None:
        self.started = time.perf_counter()

    @property
    def method(self) -> str:
        """The HTTP method, or WEBSOCKET."""
        return str(self.scope.get("method", "WEBSOCKET"))

    @property
    def route(self) -> str:
        """The pattern that matched, such as `/track/{session}`."""
        return str(getattr(self.scope.get("route"), "path", "other"))

    async def receive(self) -> Message:
        """Pass on the next message from the client."""
        message = await self.inner_receive()
        count = len(message.get("body") or message.get("bytes") or message.get("text") or b"")
        self.bytes_in += count
        if (meter := self.scope["state"].get("meter")) is not None:
            meter.take(count)
            if self.scope["type"] == "websocket":
                # What is not read yet makes the client wait.
                await meter.wait()
        return message

    async def send(self, message: Message) -> None:
        """Pass on the next message to the client; the head of a reply gets our headers."""
        if message["type"] == "http.response.start":
            self.answered = True
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-ID"] = self.request_id
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
        elif message["type"] == "websocket.accept":
            self.status = 101
        elif message["type"] == "websocket.close":
            self.answered = True
            self.status = message.get("code", 1000)
        self.bytes_out += len(message.get("body") or message.get("bytes") or b"")
        await self.inner_send(message)

    async def fail(self, error: ServiceError | None = None) -> None:
        """Tell the client of `error`, else that the service failed, where no reply has begun."""
        if self.answered:
            return
        error = error or ServiceError(Problem.INTERNAL, "see the log for this request id")
        if self.scope["type"] == "websocket":
            await self.send({"type": "websocket.close", "code": error.problem.close_code})
            return
        response = problem_response(error, HTTPConnection(self.scope))
        await response(self.scope, self.receive, self.send)


def request_id(headers: Headers) -> str:
    """Return the client's X-Request-ID where it is short and plain, else a new one."""
    given = headers.get("x-request-id", "")
    return given if PLAIN_ID.fullmatch(given) else uuid.uuid4().hex
