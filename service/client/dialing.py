"""Opening of a service's sockets, with retries."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect, unix_connect
from websockets.exceptions import InvalidStatus

from service.client.wire import CallError, ProblemError, UnreachableError, handshake_refusal
from service.errors import Problem

MOST_REPLY_BYTES = 2**24  # far above any reply; unbounded ones could fill the memory
FIRST_PAUSE_S = 0.05  # doubled with every failure
LONGEST_PAUSE_S = 2.0

# After these the same session goes on at another replica, or a little later at this one.
PASSING = {
    Problem.IDLE,
    Problem.INTERNAL,
    Problem.OVERLOADED,
    Problem.RATE_LIMITED,
    Problem.REPLIES_UNREAD,
    Problem.STOPPING,
    Problem.STORE_UNAVAILABLE,
    Problem.TIMEOUT,
    Problem.UNAVAILABLE,
}


class Retries:
    """Counts failures in a row at `url` and gives up `most_s` seconds after the first of them."""

    def __init__(self, url: str, most_s: float) -> None:
        self._url = url
        self._most_s = most_s
        self._pause_s = 0.0
        self._since: float | None = None

    def succeeded(self) -> None:
        """Note an answer."""
        self._pause_s, self._since = 0.0, None

    def failed(self, error: Exception) -> None:
        """Note a failure; raises CallError where it is final or the last one."""
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        found = self.explain(error)
        final = isinstance(found, ProblemError) and found.problem not in PASSING
        if final or now - self._since + self._pause_s > self._most_s:
            raise found from error

    async def pause(self) -> None:
        """Wait before the next try: not at all, then for longer each time."""
        await asyncio.sleep(self._pause_s)
        self._pause_s = min(2 * self._pause_s or FIRST_PAUSE_S, LONGEST_PAUSE_S)

    def explain(self, error: Exception) -> CallError:
        """Return a failure as the caller's error."""
        if isinstance(error, CallError):
            return error
        if isinstance(error, InvalidStatus):
            return handshake_refusal(error, self._url)
        said = "no answer in time" if isinstance(error, TimeoutError) else str(error)
        return UnreachableError(f"no answer from {self._url}: {said}")


class Dial:
    """Opens sockets at `base`, with the headers that its requests have."""

    def __init__(
        self,
        base: httpx.URL,
        headers: Mapping[str, str],
        reconnect_s: float,
        file: str | None = None,
        start: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Take a socket file in place of a host and port, and what starts the service behind it."""
        self._base = base
        self._headers = headers
        self._reconnect_s = reconnect_s
        self._file = file
        self._start = start

    def to(
        self, path: str, query: Mapping[str, object]
    ) -> Callable[[], Awaitable[ClientConnection]]:
        """Return a function that opens a socket at a path below."""
        address = self._base.join(path).copy_merge_params(given(query))
        scheme = "wss" if address.scheme == "https" else "ws"
        url = str(address.copy_with(scheme=scheme))

        async def open_socket() -> ClientConnection:
            if self._start is not None:
                await self._start()
            how: dict[str, Any] = {
                "additional_headers": self._headers,
                "compression": None,  # the frames are compressed already
                "max_size": MOST_REPLY_BYTES,
                "ping_interval": None,  # a reply that does not come tells more than a ping
            }
            if self._file is not None:
                return await unix_connect(self._file, url, **how)
            return await connect(url, **how)

        return open_socket

    def retries(self) -> Retries:
        """Return a new count of failures, for one session."""
        return Retries(str(self._base), self._reconnect_s)


def given(query: Mapping[str, object]) -> dict[str, Any]:
    """Return the parameters that are not None, for httpx to write into an address."""
    return {name: value for name, value in query.items() if value is not None}
