"""The client for plain Python: the asynchronous one on a thread of its own, call by call.

That is what lets it be used where an event loop runs already, as in a notebook.
"""

import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import update_wrapper
from os import PathLike
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, Unpack

import anyio
from anyio.from_thread import BlockingPortal

from service.client.calls import AsyncCountenance
from service.client.live import AffectSession, Frame, LiveSession
from service.client.wire import AffectAnswer, Picture, TrackAnswer
from service.live.messages import ErrorInfo
from service.options import AffectLiveKeywords, TrackKeywords

P = ParamSpec("P")
Reply = TypeVar("Reply")
Result = TypeVar("Result")


class PortalThread:
    """A thread with an event loop; a program that ends without stopping it just ends."""

    def __init__(self) -> None:
        self._started = threading.Event()
        self._thread = threading.Thread(target=anyio.run, args=(self._run,), daemon=True)
        self._thread.start()
        self._started.wait()

    async def _run(self) -> None:
        async with BlockingPortal() as self.portal:
            self._started.set()
            await self.portal.sleep_until_stopped()

    def stop(self) -> None:
        """End the loop and the thread."""
        self.portal.call(self.portal.stop, True)
        self._thread.join()


class BlockingSession(Generic[Reply]):
    """A LiveSession whose methods wait; a context manager that connects when it is entered."""

    def __init__(self, portal: BlockingPortal, session: LiveSession[Reply]) -> None:
        self._portal = portal
        self._session = session

    def __enter__(self) -> Self:
        wait_for(self._portal, self._session.__aenter__)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        wait_for(self._portal, self._session.__aexit__, kind, error, at)

    @property
    def complaints(self) -> Sequence[ErrorInfo]:
        """The service's words about messages that have no reply of their own."""
        return tuple(self._session.complaints)

    @property
    def reconnections(self) -> int:
        """The number of connections that went on with the session."""
        return self._session.reconnections

    def send(self, frame: Picture, time_s: float | None = None) -> None:
        """Send a picture, once there are few enough without a reply."""
        wait_for(self._portal, self._session.send, frame, time_s)

    def receive(self) -> Reply:
        """Return the next reply; there must be a frame that waits for one."""
        return wait_for(self._portal, self._session.receive)

    def step(self, frame: Picture, time_s: float | None = None) -> Reply:
        """Send one picture and return the reply to it; those to earlier ones are skipped."""
        return wait_for(self._portal, self._session.step, frame, time_s)

    def reset(self) -> None:
        """Let the session start anew with the next frame."""
        wait_for(self._portal, self._session.reset)

    def follow(self, frames: Iterable[Frame]) -> Iterator[Reply]:
        """Send pictures with their times as fast as the service takes them; yield the replies."""
        for frame, time_s in frames:
            while self._session.unanswered >= self._session.ahead:
                yield self.receive()
            self.send(frame, time_s)
        yield from self

    def __iter__(self) -> Iterator[Reply]:
        """Yield the replies to everything that was sent so far."""
        while self._session.outstanding:
            yield self.receive()


class BlockingAffectSession(BlockingSession[AffectAnswer]):
    """An AffectSession whose methods wait."""

    _session: AffectSession[AffectAnswer]

    def hear(self, pcm: bytes, time_s: float) -> None:
        """Send 16-bit little-endian mono PCM at 22 050 Hz; `time_s` is that of its first sample."""
        wait_for(self._portal, self._session.hear, pcm, time_s)


def wait_for(
    portal: BlockingPortal, ask: Callable[P, Awaitable[Result]], *args: P.args, **kwargs: P.kwargs
) -> Result:
    """Call on the portal's thread; whoever is interrupted meanwhile has the call cancelled."""
    try:
        future = portal.start_task_soon(lambda: ask(*args, **kwargs))
    except RuntimeError as error:
        raise RuntimeError("the client is closed") from error
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


def _waiting(
    method: Callable[Concatenate[AsyncCountenance, P], Awaitable[Result]],
) -> Callable[Concatenate["Countenance", P], Result]:
    """Make a method of AsyncCountenance one that waits."""

    def call(self: "Countenance", /, *args: P.args, **kwargs: P.kwargs) -> Result:
        return wait_for(self.portal, method, self.client, *args, **kwargs)

    update_wrapper(call, method)
    return call


def _iterating(
    method: Callable[Concatenate[AsyncCountenance, P], AsyncIterator[Result]],
) -> Callable[Concatenate["Countenance", P], Iterator[Result]]:
    """Make an asynchronous iterator a plain one; leaving it early ends the work."""

    def call(self: "Countenance", /, *args: P.args, **kwargs: P.kwargs) -> Iterator[Result]:
        lines: Any = method(self.client, *args, **kwargs)
        end: Any = object()
        try:
            while (line := wait_for(self.portal, lambda: anext(lines, end))) is not end:
                yield line
        except KeyboardInterrupt:  # what was cancelled is not waited for
            raise
        except BaseException:
            with suppress(RuntimeError):  # the client may be closed already
                wait_for(self.portal, lines.aclose)
            raise

    update_wrapper(call, method)
    return call


class Countenance:
    """AsyncCountenance for code that is not asynchronous; a context manager too.

    Arguments and errors are the same. It may be shared by threads, a session may not.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        model_store: str | PathLike[str] | None = None,
        device: str | None = None,
        timeout_s: float | None = None,
        reconnect_s: float = 30.0,
    ) -> None:
        """Raise ConfigurationError where no model can run in this process."""
        self.client = AsyncCountenance(
            url,
            key,
            model_store=model_store,
            device=device,
            timeout_s=timeout_s,
            reconnect_s=reconnect_s,
        )
        self._thread = PortalThread()
        self.portal = self._thread.portal

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            self._abandon()
        else:
            self.close()

    def close(self) -> None:
        """Let go of the connections, the models and the thread."""
        wait_for(self.portal, self.client.close)
        self._thread.stop()

    align = _waiting(AsyncCountenance.align)
    draw = _waiting(AsyncCountenance.draw)
    track = _waiting(AsyncCountenance.track)
    track_lines = _iterating(AsyncCountenance.track_lines)
    affect = _waiting(AsyncCountenance.affect)
    affect_photo = _waiting(AsyncCountenance.affect_photo)
    affect_lines = _iterating(AsyncCountenance.affect_lines)
    plot = _waiting(AsyncCountenance.plot)
    end_tracking = _waiting(AsyncCountenance.end_tracking)
    session = _waiting(AsyncCountenance.session)
    models = _waiting(AsyncCountenance.models)

    def track_live(
        self, session: str, *, drop: bool = False, ahead: int = 2, **how: Unpack[TrackKeywords]
    ) -> BlockingSession[TrackAnswer]:
        """Open a session that follows faces; see AsyncCountenance.track_live."""
        live = self.client.track_live(session, drop=drop, ahead=ahead, **how)
        return BlockingSession(self.portal, live)

    def affect_live(
        self, session: str, *, drop: bool = False, ahead: int = 2, **how: Unpack[AffectLiveKeywords]
    ) -> BlockingAffectSession:
        """Open a session that estimates affect; see AsyncCountenance.affect_live."""
        live = self.client.affect_live(session, drop=drop, ahead=ahead, **how)
        return BlockingAffectSession(self.portal, live)

    def discard(self) -> None:
        """Remove what a client that is not closed would leave behind."""
        self.client.discard()

    def _abandon(self) -> None:
        """Begin to close and do not wait: a computation of models cannot be interrupted."""
        self.portal.start_task_soon(self._close_and_stop)
        self.discard()

    async def _close_and_stop(self) -> None:
        await self.client.close()
        await self.portal.stop(True)
