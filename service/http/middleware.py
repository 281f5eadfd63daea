"""The layers around every request: an id, a log line, measurements, safe headers; and the gate."""

import asyncio
import ipaddress
import logging
import re
import time
import uuid
from dataclasses import dataclass

import httpx
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import Problem, ServiceError
from service.http.problems import problem_response, refuse_socket, report_start
from service.settings import LOOPBACK_HOSTS, PREFIX, Settings
from service.telemetry import REQUEST_ID, Metrics, Tracing, fields

PLAIN_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
QUIET_ROUTES = frozenset({"/health/live", "/health/ready", "/metrics"})
CLIENT_GONE = 499  # what nginx logs where nobody was left to answer
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
logger = logging.getLogger(__name__)
HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(?P<port>\d{1,5}))?", re.IGNORECASE)
# What proxies, load balancers and delivery networks tell of whom they pass on.
FORWARDING = re.compile(
    r"forwarded|via|(x-)?(real|client|cluster-client|proxyuser)-ip|x-forwarded(-.*)?|x-original-.*|"
    r"(cf|fastly|fly|true|ali-cdn|cdn|wl-proxy|proxy)-(connecting|client|real)-ip(v6)?|cdn-loop|"
    r"x-(envoy|azure|appengine|nginx|arr|amz-cf|amzn|proxy|forward)-.*|cf-(ray|visitor|ipcountry)|"
    r"x-(scheme|url-scheme|host|proxy)|front-end-https|incap-client-ip|akamai-origin-hop"
)
MOST_LOGGED = 100  # reasons may hold what a client chose: the log is not its to fill
WEB_SCHEMES = frozenset({"http", "https", "ws", "wss"})


class RequestContext:
    """The outermost layer: nothing that goes wrong inside leaves it without a reply and a line."""

    def __init__(self, app: ASGIApp, metrics: Metrics, tracing: Tracing) -> None:
        self._app = app
        self._metrics = metrics
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request, one socket, or the application's life."""
        if scope["type"] == "lifespan":
            await report_start(self._app, scope, receive, send)
            return
        exchange = Exchange(scope, receive, send, request_id(Headers(scope=scope)))
        scope.setdefault("state", {})["request_id"] = exchange.request_id
        REQUEST_ID.set(exchange.request_id)
        with self._tracing.span("request", Headers(scope=scope)) as span:
            try:
                await self._app(scope, exchange.receive, exchange.send)
            except ClientDisconnect:
                exchange.status = CLIENT_GONE
            except asyncio.CancelledError:  # the time to stop is over: the server ends its requests
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
        """Return the HTTP method, or WEBSOCKET."""
        return str(self.scope.get("method", "WEBSOCKET"))

    @property
    def route(self) -> str:
        """Return the pattern that matched, such as `/track/{session}`."""
        # Not the path: names that clients choose would make any number of time series.
        return str(getattr(self.scope.get("route"), "path", "other"))

    async def receive(self) -> Message:
        """Pass on the next message from the client."""
        message = await self.inner_receive()
        count = len(message.get("body") or message.get("bytes") or message.get("text") or b"")
        self.bytes_in += count
        if (meter := self.scope["state"].get("meter")) is not None:
            # Counted when it has come: nobody knows before how long a body will be.
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
    # A long or odd one could break lines of the log.
    return given if PLAIN_ID.fullmatch(given) else uuid.uuid4().hex


class Gate:
    """Turns away what must not reach a route, for requests and sockets alike.

    The Host check stops DNS rebinding, the Origin check stops pages of other sites from driving a
    service without keys, and forwarding headers without keys mean a proxy has exposed it.
    """

    def __init__(self, app: ASGIApp, settings: Settings, keys_required: bool) -> None:
        self._app = app
        self._settings = settings
        self._keys_required = keys_required
        self._hosts = settings.allowed_hosts or (*LOOPBACK_HOSTS, settings.host)
        self._logged: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check the head of one request or socket, then pass it on or answer it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        try:
            headers = Headers(scope=scope)
            host = self._check_host(headers, scope)
            self._check_forwarded(headers)
            self._check_origin(headers, host)
        except ServiceError as error:
            self._log_once(error)
            if scope["type"] == "websocket":
                await refuse_socket(error.problem, scope, receive, send)
            else:
                await problem_response(error, HTTPConnection(scope))(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _log_once(self, error: ServiceError) -> None:
        """Leave one line of each reason: whoever runs the service sees which setting is missing."""
        if error.detail not in self._logged and len(self._logged) < MOST_LOGGED:
            self._logged.add(error.detail)
            told = fields(problem=error.problem.slug, why=error.detail)
            logger.warning("turned away", extra=told)

    def _check_host(self, headers: Headers, scope: Scope) -> re.Match[str]:
        # Of two Host headers a proxy may have checked the other one.
        given = headers.getlist("host")
        match = HOST.fullmatch(given[0]) if len(given) == 1 else None
        if match is None:
            raise ServiceError(Problem.INVALID_HOST, "one Host header, name[:port], is needed")
        known = any(host_matches(match["name"], allowed) for allowed in self._hosts)
        if not known and not is_own_address(match["name"], scope):
            raise ServiceError(
                Problem.INVALID_HOST,
                f"{match['name']!r} is not a name of this service; "
                f"names are added with {PREFIX}ALLOWED_HOSTS",
            )
        return match

    def _check_forwarded(self, headers: Headers) -> None:
        if self._keys_required:
            return
        for name in headers:
            if FORWARDING.fullmatch(name):
                raise ServiceError(
                    Problem.FORWARDED_WITHOUT_KEYS,
                    f"{name} says that a proxy passes requests on, but no API keys are set up "
                    f"({PREFIX}API_KEYS_FILE)",
                )

    def _check_origin(self, headers: Headers, host: re.Match[str]) -> None:
        origin = headers.get("origin")
        allowed = self._settings.allowed_origins
        if origin is None or "*" in allowed or origin.lower() in allowed:
            return
        if not same_site(origin, host):
            raise ServiceError(
                Problem.ORIGIN_NOT_ALLOWED,
                f"{origin[:100]!r} is not this service's own origin; "
                f"others are allowed with {PREFIX}ALLOWED_ORIGINS",
            )


def host_matches(name: str, allowed: str) -> bool:
    """Tell whether a host name is the allowed one, below `*.name`, or anything for `*`."""
    name, allowed = name.lower().rstrip("."), allowed.lower()
    if allowed.startswith("*."):
        return name.endswith(allowed[1:])
    return allowed in ("*", name)


def is_own_address(name: str, scope: Scope) -> bool:
    """Tell whether a host name is the very address that the connection came in at.

    Such a name has not been looked up, so that nobody can have rebound it.
    """
    literal = name.strip("[]")
    try:
        ipaddress.ip_address(literal)
    except ValueError:
        return False
    return literal == (scope.get("server") or ("",))[0]


def same_site(origin: str, host: re.Match[str]) -> bool:
    """Tell whether an Origin header names the host and port of the Host header."""
    try:
        theirs = httpx.URL(origin.lower())
        # With the origin's scheme, whose usual port counts as not written.
        own = httpx.URL(f"{theirs.scheme}://{host[0].lower()}")
    except httpx.InvalidURL:
        return False
    return theirs.scheme in WEB_SCHEMES and theirs.netloc == own.netloc
