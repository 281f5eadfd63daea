"""A running server's own view: does it answer at all, and what does each model say of itself."""

import http.client
import socket
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from handlers.wire import WireError, pack, unpack

UNIX = "unix:"
DEFAULT_PORT = 8080
EVERYWHERE = ("0.0.0.0", "::", None)

# The question to a model about itself; its outputs are `{"description": map, "device": str}`.
DESCRIBE = pack({"describe": True})


class AskError(Exception):
    """No answer, or one that says why the model cannot work; `missing`: there is no such model."""

    def __init__(self, detail: str, missing: bool = False) -> None:
        super().__init__(detail)
        self.missing = missing


class UnixConnection(http.client.HTTPConnection):
    """HTTP over the unix socket at `path`."""

    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def ping(address: str, timeout_s: float) -> bool:
    """Whether the server at `unix:/path` or `http://host:port` answers and calls itself healthy."""
    try:
        status, _ = _request(address, "GET", "/ping", None, timeout_s)
    except (OSError, http.client.HTTPException):
        return False
    return status == 200


def describe(address: str, model: str, timeout_s: float) -> dict[str, Any]:
    """Ask a model what it is, through the queue that all rows take; raises AskError."""
    try:
        status, reply = _request(address, "POST", f"/predictions/{model}", DESCRIBE, timeout_s)
        if status != 200:
            raise AskError(f"status {status}: {reply[:200]!r}", missing=status == 404)
        message = unpack(reply)
    except (OSError, http.client.HTTPException, WireError) as error:
        raise AskError(f"{type(error).__name__}: {error}") from error
    if (refused := message.get("error")) is not None:
        raise AskError(str(refused.get("detail")))
    return dict(message["outputs"])


@dataclass
class Health:
    """Whether a server answers, and whether models that worked still do.

    A model is ill once it has refused to describe itself for `ill_s` since it last did; one that
    never worked is not, for starting it again would not help it, nor is one that takes long.
    """

    address: str
    models: tuple[str, ...]
    timeout_s: float = 5.0
    look_s: float = 20.0
    ill_s: float = 60.0
    _looked_at: float = 0.0
    _refused_at: dict[str, float] = field(default_factory=dict)
    _worked: set[str] = field(default_factory=set)

    def __call__(self) -> bool:
        """Ping the server, and every `look_s`, or while one refuses, ask each model."""
        if not ping(self.address, self.timeout_s):
            return False
        now = time.monotonic()
        if self._refused_at or now - self._looked_at >= self.look_s:
            self._looked_at = now
            for model in self.models:
                self._look(model, now)
        return all(now - since < self.ill_s for since in self._refused_at.values())

    def _look(self, model: str, now: float) -> None:
        try:
            describe(self.address, model, self.timeout_s)
        except AskError as error:
            if model in self._worked and not isinstance(error.__cause__, TimeoutError):
                self._refused_at.setdefault(model, now)
        else:
            self._worked.add(model)
            self._refused_at.pop(model, None)


def _request(
    address: str, method: str, path: str, body: bytes | None, timeout_s: float
) -> tuple[int, bytes]:
    connection = _connection(address, timeout_s)
    try:
        connection.request(method, path, body, {"Content-Type": "application/msgpack"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _connection(address: str, timeout_s: float) -> http.client.HTTPConnection:
    if address.startswith(UNIX):
        return UnixConnection(address.removeprefix(UNIX), timeout_s)
    parts = urlsplit(address)
    host = "127.0.0.1" if parts.hostname in EVERYWHERE else str(parts.hostname)
    return http.client.HTTPConnection(host, parts.port or DEFAULT_PORT, timeout=timeout_s)
