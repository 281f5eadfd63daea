"""How the sockets of a service are opened, and how long that is tried."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect, unix_connect

from service.client.retries import Retries

MOST_REPLY_BYTES = 2**24


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

    def to(self, path: str, query: Mapping[str, Any]) -> Callable[[], Awaitable[ClientConnection]]:
        """What opens a socket at a path below."""
        address = self._base.join(path).copy_merge_params(query)
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
        """A new count of failures, for one session."""
        return Retries(str(self._base), self._reconnect_s)


def given(query: Mapping[str, object]) -> dict[str, Any]:
    """The parameters that are not None, for httpx to write into an address."""
    return {name: value for name, value in query.items() if value is not None}
