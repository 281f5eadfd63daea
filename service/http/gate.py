"""The gate: requests are let in by their Host, forwarding headers and Origin."""

import ipaddress
import logging
import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from service.bounds import PREFIX
from service.errors import Problem, ServiceError
from service.http.problems import problem_response
from service.settings import LOOPBACK_HOSTS, Settings
from service.telemetry import fields

HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(?P<port>\d{1,5}))?", re.IGNORECASE)
# What proxies, load balancers and delivery networks tell of whom they pass on.
FORWARDING = re.compile(
    r"forwarded|via|(x-)?(real|client|cluster-client|proxyuser)-ip|x-forwarded(-.*)?|x-original-.*|"
    r"(cf|fastly|fly|true|ali-cdn|cdn|wl-proxy|proxy)-(connecting|client|real)-ip(v6)?|cdn-loop|"
    r"x-(envoy|azure|appengine|nginx|arr|amz-cf|amzn|proxy|forward)-.*|cf-(ray|visitor|ipcountry)|"
    r"x-(scheme|url-scheme|host|proxy)|front-end-https|incap-client-ip|akamai-origin-hop"
)
SUBPROTOCOL = "countenance"  # offered beside `bearer.<key>`, and the only one that is sent back
MOST_LOGGED = 100  # reasons may hold what a client chose: the log is not its to fill
DEFAULT_PORTS = {"http": "80", "https": "443", "ws": "80", "wss": "443"}

logger = logging.getLogger(__name__)


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
            self._check(Headers(scope=scope), scope)
        except ServiceError as error:
            self._log_once(error)
            if scope["type"] == "websocket":
                await _refuse_socket(error.problem, scope, receive, send)
            else:
                await problem_response(error, HTTPConnection(scope))(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _log_once(self, error: ServiceError) -> None:
        """Leave one line of each reason: whoever runs the service sees which setting is missing."""
        if error.detail not in self._logged and len(self._logged) < MOST_LOGGED:
            self._logged.add(error.detail)
            logger.warning(
                "turned away", extra=fields(problem=error.problem.slug, why=error.detail)
            )

    def _check(self, headers: Headers, scope: Scope) -> None:
        host = self._check_host(headers, scope)
        self._check_forwarded(headers)
        self._check_origin(headers, host)

    def _check_host(self, headers: Headers, scope: Scope) -> re.Match[str]:
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


async def _refuse_socket(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    """Close a socket with the problem's code.

    Pages hear nothing of a socket that was never accepted, and would try for ever; so one of
    another origin is accepted first, and told.
    """
    if problem is Problem.ORIGIN_NOT_ALLOWED:
        await receive()  # the wish to connect
        chosen = SUBPROTOCOL if SUBPROTOCOL in scope.get("subprotocols", ()) else None
        await send({"type": "websocket.accept", "subprotocol": chosen})
    await send({"type": "websocket.close", "code": problem.close_code, "reason": problem.slug})


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
        parts = urlsplit(origin.lower())
        port = parts.port
    except ValueError:
        return False
    default = DEFAULT_PORTS.get(parts.scheme)
    if default is None or parts.hostname is None:
        return False
    name = host["name"].lower().strip("[]")
    return (parts.hostname, str(port or default)) == (name, host["port"] or default)
