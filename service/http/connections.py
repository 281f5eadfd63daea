"""Connections that end: heads have deadlines, replies are taken, sockets are refused aloud.

uvicorn bounds the size of a head and the pause between two requests; these protocols add what it
lacks. They know nothing of requests that are being answered: those have limits of their own.
"""

import asyncio
import json
from collections import Counter
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import State

from service.errors import Problem
from service.http.problems import MEDIA_TYPE
from service.settings import Settings

LINGER_S = 5.0  # for a client to read why it is refused
# What a client that reads takes of a reply in the time for a head.
LEAST_BYTES = 16 * 1024
# Refused connections that may still wait for their client to read why.
MOST_REFUSED = 64


class Connections:
    """The open connections, counted in all and by address, and their deadlines."""

    def __init__(self, settings: Settings) -> None:
        self.most, self.each = settings.max_connections, settings.max_connections_each
        self.head_s = settings.head_timeout_s
        self.refused = 0
        self._open: Counter[str] = Counter()

    def enter(self, address: str) -> str | None:
        """Count a connection; return why there is no place for it, None where there is one."""
        if self._open.total() >= self.most:
            return f"{self.most} connections are open, the most there may be"
        if self._open[address] >= self.each:
            return f"{self.each} connections of your address are open, the most there may be"
        self._open[address] += 1
        return None

    def leave(self, address: str) -> None:
        """Forget a connection."""
        self._open[address] -= 1
        self._open += Counter()


class HttpProtocol(H11Protocol):
    """Ends a connection whose next head does not come in time, or whose replies are not read."""

    def __init__(self, *arguments: Any, connections: Connections, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._all = connections
        self._counted = self._refused = self._unread = False
        self._left = 0
        self._deadline: asyncio.TimerHandle | None = None

    @property
    def _busy(self) -> bool:
        """Whether a request is being answered."""
        return self.cycle is not None and not self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, or tell it that there is no place."""
        super().connection_made(transport)
        if (reason := self._all.enter(_address(self))) is None:
            self._counted = True
            self._watch()
            return
        self._refused = True
        self._all.refused += 1
        if self._all.refused > MOST_REFUSED:
            transport.abort()
        else:
            refuse(transport, self.loop, Problem.OVERLOADED, reason)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_watching()
        if self._counted:
            self._counted = False
            self._all.leave(_address(self))
        elif self._refused:
            self._all.refused -= 1

    def data_received(self, data: bytes) -> None:
        """Read on; of what is refused nothing."""
        if not self._refused:
            super().data_received(data)
            self._watch()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand the connection over, with its place."""
        self._stop_watching()
        self._counted = False
        super().handle_websocket_upgrade(event)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = True
        self._watch()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._unread = False
        if self._busy:
            self._stop_watching()

    def _watch(self) -> None:
        """Let the time for the next head run, but not while a request is answered and read."""
        if self._busy and not self._unread:
            self._stop_watching()
        elif self._deadline is None and self._counted:
            self._left = self.transport.get_write_buffer_size()
            self._deadline = self.loop.call_later(self._all.head_s, self._look)

    def _stop_watching(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _look(self) -> None:
        """End the connection, whose time is over, unless its client is reading a reply."""
        # What is left in the buffer shrinks only as the client reads.
        self._deadline = None
        left = self.transport.get_write_buffer_size()
        if self._left - left >= LEAST_BYTES or (self._busy and not self._unread):
            self._watch()
        elif left or self.transport.is_closing():
            self.transport.abort()
        elif self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
            seconds = f"a request's head may take {self._all.head_s:g} s"
            self._refused = True
            refuse(self.transport, self.loop, Problem.HEAD_TOO_SLOW, seconds)
        else:
            self.transport.close()


class SocketProtocol(WebSocketsSansIOProtocol):
    """Answers what cannot become a socket, keeps no frame that has been passed on, and cuts a
    socket off whose client does not take what is left for it to read.
    """

    def __init__(self, *arguments: Any, connections: Connections, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._all = connections
        self._refused = False

    def connection_lost(self, exc: Exception | None) -> None:
        """Give back the place that the connection has had since before it was a socket."""
        super().connection_lost(exc)
        self._all.leave(_address(self))

    def data_received(self, data: bytes) -> None:
        """Read on; a request that cannot be read for a socket's is refused."""
        if self._refused:
            return
        super().data_received(data)
        if (fault := self.conn.handshake_exc) is not None and not self.handshake_initiated:
            self._refused = True
            self.conn.data_to_send()
            detail = f"it cannot become a socket: {fault.__cause__ or fault}"
            refuse(self.transport, self.loop, Problem.HTTP_ERROR, detail)

    def handle_cont(self, event: Any) -> None:
        super().handle_cont(event)
        event.data = b""  # megabytes, which the parser would hold until the next frame

    def handle_bytes(self, event: Any) -> None:
        """Pass on a message; the parser holds on to its frame until the next one comes."""
        super().handle_bytes(event)
        event.data = b""

    def shutdown(self) -> None:
        """Close; the parser refuses a second close to a socket whose closing has begun."""
        if self.handshake_complete and self.conn.state is not State.OPEN:
            self.close_sent = True
        super().shutdown()

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """Give the client a few seconds once the application is done with it."""
        super().on_task_complete(task)
        if self.transport.get_write_buffer_size() > 0:
            self.loop.call_later(LINGER_S, self.transport.abort)


def refuse(
    transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, problem: Problem, detail: str
) -> None:
    """Answer in place of the application and close, giving the client a moment to read it.

    Closing at once would reset the connection where more has come than was read.
    """
    told = {"type": problem.uri, "title": problem.title, "status": problem.status}
    body = json.dumps({**told, "detail": detail[:200]}).encode()
    head = (
        f"HTTP/1.1 {problem.status} {problem.slug}\r\ncontent-type: {MEDIA_TYPE}\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    transport.write(head.encode() + body)
    if transport.can_write_eof():
        transport.write_eof()
    loop.call_later(LINGER_S, transport.abort)


def _address(protocol: HttpProtocol | SocketProtocol) -> str:
    return protocol.client[0] if protocol.client else ""
