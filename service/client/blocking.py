"""The client for plain Python: the asynchronous one on a thread of its own, call by call.

That is what lets it be used where an event loop runs already, as in a notebook.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, BinaryIO, Generic, Self, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

from service.affect.clip_replies import AffectClipReply
from service.client.calls import AsyncCountenance
from service.client.live import AffectSession, Frame, LiveSession
from service.client.replies import AffectAnswer, AffectLine, TrackAnswer
from service.live.replies import ErrorInfo
from service.schemas import AlignReply, Models, SessionInfo

Reply = TypeVar("Reply")
Result = TypeVar("Result")


class BlockingSession(Generic[Reply]):
    """A LiveSession whose methods wait; a context manager that connects when it is entered."""

    def __init__(self, portal: BlockingPortal, session: LiveSession[Reply]) -> None:
        self._portal = portal
        self._session = session

    def __enter__(self) -> Self:
        self._portal.call(self._session.__aenter__)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._portal.call(self._session.__aexit__, kind, error, at)

    @property
    def complaints(self) -> Sequence[ErrorInfo]:
        """What the service said of messages that have no reply of their own."""
        return tuple(self._session.complaints)

    @property
    def reconnections(self) -> int:
        """How often another connection went on with the session."""
        return self._session.reconnections

    def send(self, frame: bytes, time_s: float | None = None) -> None:
        """Send an encoded picture, once there are few enough without a reply."""
        self._portal.call(self._session.send, frame, time_s)

    def receive(self) -> Reply:
        """Return the next reply; there must be a frame that waits for one."""
        return self._portal.call(self._session.receive)

    def step(self, frame: bytes, time_s: float | None = None) -> Reply:
        """Send one picture and return the reply to it; those to earlier ones are skipped."""
        return self._portal.call(self._session.step, frame, time_s)

    def reset(self) -> None:
        """Let the session start anew with the next frame."""
        self._portal.call(self._session.reset)

    def follow(self, frames: Iterable[Frame]) -> Iterator[Reply]:
        """The replies to many pictures with their times, sent as fast as the service takes them."""
        for frame, time_s in frames:
            while self._session.unanswered >= self._session.ahead:
                yield self.receive()
            self.send(frame, time_s)
        yield from self

    def __iter__(self) -> Iterator[Reply]:
        """The replies to everything that was sent so far."""
        while self._session.outstanding:
            yield self.receive()


class BlockingAffectSession(BlockingSession[AffectAnswer]):
    """An AffectSession whose methods wait."""

    _session: AffectSession[AffectAnswer]

    def hear(self, pcm: bytes, time_s: float) -> None:
        """Send 16-bit little-endian mono PCM at 22 050 Hz; `time_s` is that of its first sample."""
        self._portal.call(self._session.hear, pcm, time_s)


class Countenance:
    """What AsyncCountenance does, for code that is not asynchronous; a context manager too.

    Arguments and errors are the same. It may be shared by threads, a session may not.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        timeout_s: float = 120.0,
        reconnect_s: float = 30.0,
    ) -> None:
        self._stack = ExitStack()
        self._portal = self._stack.enter_context(start_blocking_portal())
        self._client = AsyncCountenance(url, key, timeout_s=timeout_s, reconnect_s=reconnect_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections and the thread."""
        self._portal.call(self._client.close)
        self._stack.close()

    def align(self, image: bytes, **how: Any) -> AlignReply:
        """The faces of an encoded picture; see AsyncCountenance.align."""
        return self._call(lambda: self._client.align(image, **how))

    def draw(self, image: bytes, **how: Any) -> bytes:
        """The picture with its faces drawn on it, as PNG."""
        return self._call(lambda: self._client.draw(image, **how))

    def track(self, session: str, **how: Any) -> BlockingSession[TrackAnswer]:
        """A session that follows faces; see AsyncCountenance.track."""
        return BlockingSession(self._portal, self._client.track(session, **how))

    def end_tracking(self, session: str) -> None:
        """Let the service forget a session of `track` now."""
        self._call(lambda: self._client.end_tracking(session))

    def affect(self, clip: BinaryIO, **how: Any) -> AffectClipReply:
        """Valence and arousal over a clip; see AsyncCountenance.affect."""
        return self._call(lambda: self._client.affect(clip, **how))

    def affect_lines(self, clip: BinaryIO, **how: Any) -> Iterator[AffectLine]:
        """The same as soon as it is known: the clip, its frames, a summary."""
        lines = aiter(self._client.affect_lines(clip, **how))

        async def next_line() -> AffectLine | None:
            return await anext(lines, None)

        while (line := self._call(next_line)) is not None:
            yield line

    def affect_live(self, session: str, **how: Any) -> BlockingAffectSession:
        """A session that estimates valence and arousal; see AsyncCountenance.affect_live."""
        return BlockingAffectSession(self._portal, self._client.affect_live(session, **how))

    def session(self, session: str) -> SessionInfo:
        """What the service keeps under a session's name."""
        return self._call(lambda: self._client.session(session))

    def models(self) -> Models:
        """Which models the service has."""
        return self._call(self._client.models)

    def _call(self, ask: Callable[[], Awaitable[Result]]) -> Result:
        return self._portal.call(ask)
