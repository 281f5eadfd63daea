"""A live session from the client's side: frames in, replies out, across lost connections."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Generic, Self, TypeVar

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from service.affect.sounds import SOUND
from service.client.wire import (
    CallError,
    Picture,
    ProblemError,
    UnreachableError,
    close_refusal,
    encoded,
    handshake_refusal,
)
from service.errors import Problem
from service.live.messages import FRAME, HEADER, ErrorInfo

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
Reply = TypeVar("Reply")
Part = bytes | str
Frame = tuple[Picture, float | None]
HANG_UP_S = 1.0  # for the service to take the close
MOST_ASIDE = 64  # messages without reply that a lost connection may owe


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


class LiveSession(Generic[Reply]):
    """Sends frames and gets one reply for each, in their order; lost connections are made anew.

    At most `ahead` frames are without a reply: `send` waits for one before it sends more. When the
    connection ends, another one goes on with the same session and what has no reply is sent again.
    Methods raise ProblemError for what the service refuses for good, such as a session that
    somebody else has taken, and UnreachableError when it does not come back. `reply_s` is how long
    a reply may take before the connection counts as lost, in seconds. `complaints` are what the
    service said of messages that have no reply of their own, such as sound that came too late.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[ClientConnection]],
        read: Callable[[str], Reply | ErrorInfo],
        retries: Retries,
        ahead: int = 2,
        reply_s: float = 30.0,
    ) -> None:
        """Take how to connect, and how to read what comes: a reply, or word of another message."""
        self.ahead = ahead
        self.reconnections = 0
        self.complaints: deque[ErrorInfo] = deque(maxlen=MOST_ASIDE)
        self._connect = connect
        self._read = read
        self._retries = retries
        self._reply_s = reply_s
        self._socket: ClientConnection | None = None
        self._unanswered: deque[tuple[Part, ...]] = deque()
        self._replies: deque[Reply] = deque()
        self._aside: deque[Part] = deque(maxlen=MOST_ASIDE)

    async def __aenter__(self) -> Self:
        try:
            self._socket = await self._connect()
        except (OSError, WebSocketException) as error:
            raise self._retries.explain(error) from error
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._hang_up()

    @property
    def unanswered(self) -> int:
        """The number of frames that were sent and have no reply yet."""
        return len(self._unanswered)

    @property
    def outstanding(self) -> int:
        """The number of replies that `receive` can still give."""
        return len(self._replies) + len(self._unanswered)

    async def send(self, frame: Picture, time_s: float | None = None) -> None:
        """Send a picture, once fewer than `ahead` wait for their reply.

        `time_s` is its time in seconds by any clock; without one that of its arrival counts.
        """
        while self.unanswered >= self.ahead:
            self._replies.append(await self._next())
        message = self._pack(encoded(frame), time_s)
        connected = self._socket is not None
        # Noted before it is written: if the connection breaks meanwhile, `_resume` sends it.
        self._unanswered.append((*self._aside, message))
        self._aside.clear()
        if connected:
            await self._write([message])

    async def reset(self) -> None:
        """Let the session start anew with the next frame."""
        await self._send_aside('{"type": "reset"}')

    async def receive(self) -> Reply:
        """Return the next reply; there must be a frame that waits for one."""
        if self._replies:
            return self._replies.popleft()
        if not self._unanswered:
            raise RuntimeError("no frame waits for a reply: send one first")
        return await self._next()

    async def step(self, frame: Picture, time_s: float | None = None) -> Reply:
        """Send one picture and return the reply to it; those to earlier ones are skipped."""
        await self.send(frame, time_s)
        async for reply in self:
            last = reply
        return last

    async def follow(self, frames: AsyncIterable[Frame] | Iterable[Frame]) -> AsyncIterator[Reply]:
        """Send pictures with their times as fast as the service takes them; yield the replies."""
        async for frame, time_s in _each(frames):
            while self.unanswered >= self.ahead:
                yield await self.receive()
            await self.send(frame, time_s)
        async for reply in self:
            yield reply

    async def __aiter__(self) -> AsyncIterator[Reply]:
        """Yield the replies to everything that was sent so far."""
        while self.outstanding:
            yield await self.receive()

    def _pack(self, frame: bytes, time_s: float | None) -> bytes:
        """Return the message of a frame."""
        return frame if time_s is None else HEADER.pack(FRAME, time_s) + frame

    async def _send_aside(self, part: Part) -> None:
        """Send what gets no reply: it belongs to the next frame, and is sent again with that."""
        self._aside.append(part)
        await self._write([part])

    async def _next(self) -> Reply:
        while isinstance(reply := self._read(await self._read_text()), ErrorInfo):
            self.complaints.append(reply)
        self._unanswered.popleft()
        self._retries.succeeded()
        return reply

    async def _read_text(self) -> str:
        while True:
            if self._socket is None:
                await self._resume()
            elif (text := await self._guarded(self._socket.recv())) is not None:
                return str(text)

    async def _write(self, parts: Iterable[Part]) -> None:
        """Send; what a lost connection has not taken, `_resume` sends."""
        for part in parts:
            if self._socket is not None:
                await self._guarded(self._socket.send(part))

    async def _guarded(self, exchange: Awaitable[Part | None]) -> Part | None:
        """Await; let a connection go that has ended. Raises ProblemError if it has for good."""
        try:
            async with asyncio.timeout(self._reply_s):
                return await exchange
        except TimeoutError as error:
            await self._hang_up()
            self._retries.failed(error)
        except ConnectionClosed as error:
            told = await self._last_words()
            await self._hang_up()
            self._retries.failed(close_refusal(error, told) or error)
        return None

    async def _last_words(self) -> ErrorInfo | None:
        """Return what was said last before the connection was closed, beside replies."""
        with suppress(ConnectionClosed):
            while self._socket is not None:
                reply = self._read(str(await self._socket.recv()))
                if isinstance(reply, ErrorInfo):
                    self.complaints.append(reply)
        return self.complaints[-1] if self.complaints else None

    async def _resume(self) -> None:
        """Go on with the session by another connection; what has no reply is sent again."""
        while self._socket is None:
            await self._retries.pause()
            try:
                self._socket = await self._connect()
            except (OSError, WebSocketException) as error:
                self._retries.failed(error)
        self.reconnections += 1
        await self._write([part for parts in [*self._unanswered, self._aside] for part in parts])

    async def _hang_up(self) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(HANG_UP_S):
                    await socket.close()


class AffectSession(LiveSession[Reply]):
    """A live session that also hears; every frame has a time, and times increase.

    A frame without bytes is a moment that nothing is seen of. One that was seen, but whose reply
    was lost with the connection, is answered with an error of the type `invalid-time`.
    """

    async def hear(self, pcm: bytes, time_s: float) -> None:
        """Send 16-bit little-endian mono PCM at 22 050 Hz; `time_s` is that of its first sample."""
        await self._send_aside(HEADER.pack(SOUND, time_s) + pcm)

    def _pack(self, frame: bytes, time_s: float | None) -> bytes:
        if time_s is None:
            raise ValueError("a frame of an affect session needs its time, in seconds")
        return super()._pack(frame, time_s)


async def _each(frames: AsyncIterable[Frame] | Iterable[Frame]) -> AsyncIterator[Frame]:
    if isinstance(frames, AsyncIterable):
        async for frame in frames:
            yield frame
    else:
        for frame in frames:
            yield frame
