"""How the sockets of a service are opened, and how long that is tried."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect

from service.client.retries import Retries

MOST_REPLY_BYTES = 2**24


class Dial:
    """Opens sockets at `base`, with the headers that its requests have."""

    def __init__(self, base: httpx.URL, headers: Mapping[str, str], reconnect_s: float) -> None:
        self._base = base
        self._headers = headers
        self._reconnect_s = reconnect_s

    def to(self, path: str, query: Mapping[str, Any]) -> Callable[[], Awaitable[ClientConnection]]:
        """What opens a socket at a path below."""
        address = self._base.join(path).copy_merge_params(query)
        scheme = "wss" if address.scheme == "https" else "ws"
        url = str(address.copy_with(scheme=scheme))

        async def open_socket() -> ClientConnection:
            return await connect(
                url,
                additional_headers=self._headers,
                compression=None,  # the frames are compressed already
                max_size=MOST_REPLY_BYTES,
                ping_interval=None,  # a reply that does not come tells more than a ping
            )

        return open_socket

    def retries(self) -> Retries:
        """A new count of failures, for one session."""
        return Retries(str(self._base), self._reconnect_s)


def given(query: Mapping[str, object]) -> dict[str, Any]:
    """The parameters that are not None, for httpx to write into an address."""
    return {name: value for name, value in query.items() if value is not None}
