"""A running TorchServe from outside: whether it answers, what its models say, and keeping it so.

A server that dies or goes ill is started again; one that is to stop is stopped as a whole.
"""

import http.client
import logging
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from handlers.wire import WireError, pack, unpack

logger = logging.getLogger(__name__)

Process = subprocess.Popen[bytes]

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
    """Tell whether the server at `unix:/path` or `http://host:port` answers and is healthy."""
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
    # An address to listen on everywhere is none to connect to.
    host = "127.0.0.1" if parts.hostname in EVERYWHERE else str(parts.hostname)
    return http.client.HTTPConnection(host, parts.port or DEFAULT_PORT, timeout=timeout_s)


@dataclass(frozen=True)
class Pace:
    """Intervals and limits of watching, in seconds.

    A server is ill after `most_missed` pings in a row; while it starts, for `starting_s`, none is
    counted. Pauses between two starts double up to the longest, until one has lasted `steady_s`.
    """

    look_s: float = 0.5
    ping_s: float = 5.0
    most_missed: int = 3
    starting_s: float = 60.0
    stop_s: float = 12.0
    pause_s: float = 1.0
    longest_pause_s: float = 30.0
    steady_s: float = 120.0


def keep_running(
    start: Callable[[], Process],
    ping: Callable[[], bool],
    stopping: threading.Event,
    pace: Pace | None = None,
) -> None:
    """Start the server, again after every death or illness, until `stopping` is set.

    `start` gives a process that leads its own group; `ping` says whether it answers and is well.
    """
    pace = pace or Pace()
    pause_s = pace.pause_s
    while not stopping.is_set():
        started = time.monotonic()
        process = start()
        try:
            reason = watch(process, ping, stopping, pace)
        finally:
            stop(process, pace.stop_s)
        if stopping.is_set():
            return
        if time.monotonic() - started > pace.steady_s:
            pause_s = pace.pause_s
        logger.error("TorchServe %s; it is started again in %.1f s", reason, pause_s)
        stopping.wait(pause_s)
        pause_s = min(pause_s * 2, pace.longest_pause_s)


def watch(process: Process, ping: Callable[[], bool], stopping: threading.Event, pace: Pace) -> str:
    """Return, and say why, when the process has ended, misses pings in a row, or is to stop."""
    missed, answered = 0, False
    started = pinged = time.monotonic()
    while not stopping.wait(pace.look_s):
        if process.poll() is not None:
            return f"has ended with status {process.returncode}"
        if time.monotonic() - pinged < pace.ping_s:
            continue
        well = ping()
        pinged = time.monotonic()
        answered |= well
        counts = answered or pinged - started > pace.starting_s
        missed = missed + 1 if counts and not well else 0
        if missed >= pace.most_missed:
            return f"is ill, {missed} pings in a row went wrong"
    return "is told to stop"


def stop(process: Process, stop_s: float = Pace.stop_s) -> None:
    """End the server and its workers: by SIGTERM first, after `stop_s` by SIGKILL."""
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(stop_s)
    # Workers outlive a Java that was killed.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
