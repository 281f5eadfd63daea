"""A container's video stream into sampled upright pictures at their own times (in the child)."""

import math
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import av
from av.container import InputContainer
from av.stream import Disposition

from service.errors import Problem, ServiceError
from service.media.clips.contents import ClipFrame, Sampling
from service.media.clips.decoding import Damages, decode, duration_s, start_s
from service.media.clips.limits import ClipLimits
from service.media.clips.upright import Turn, Upright

Item = TypeVar("Item")

# A moment that is further ahead than this, and the next one is not, has a damaged time.
LEAP_S = 1.0


class Pictures:
    """The pictures of a clip; `decoded` and `used` count them as they are read.

    Making one reads up to the first frame; `first` is None where no frame can be decoded.
    """

    def __init__(
        self, container: InputContainer, stream: Any, limits: ClipLimits, sampling: Sampling
    ) -> None:
        context = stream.codec_context
        if context is None:
            raise ServiceError(
                Problem.UNSUPPORTED_CLIP, "its pictures are coded in a way that is not read here"
            )
        self.codec: str = context.codec.canonical_name
        self.zero_s = start_s(container, stream)
        self.declared_s = duration_s(container, stream)
        self.expected = _expected(stream, self.declared_s, limits)
        self.decoded = self.used = 0
        self.last_s = 0.0
        self.damages = Damages()
        self._limits, self._sampling = limits, sampling
        self._step_s = float(1 / (stream.average_rate or 25))
        self._check_size(context)
        context.thread_count = 1
        context.options = {"max_pixels": str(limits.pixels)}
        self._moments = self._timed(decode(container, stream, self.damages))
        self._first = next(self._moments, None)
        self._check_size(context)
        if self._first is None:
            # Decoders report a lack of memory as damage: it shows when a frame's is asked for.
            bytearray(4 * context.width * context.height)

    @property
    def found(self) -> bool:
        """Whether there is any picture."""
        return self._first is not None

    @property
    def turn(self) -> Turn:
        """How the first picture is turned upright."""
        return Turn.of(self._first[1]) if self._first else Turn(1, 0, 0, 1)

    @property
    def size(self) -> tuple[int, int] | tuple[None, None]:
        """Width and height of the first picture, upright, in pixels."""
        if self._first is None:
            return None, None
        frame = self._first[1]
        stored = (frame.width, frame.height)
        return (stored[1], stored[0]) if self.turn.swaps_sides else stored

    def frames(self) -> Iterator[ClipFrame]:
        """Yield the pictures nearest to the ticks of the working rate."""
        upright = Upright(self._sampling.max_side)
        for time_s, frame in sample(self._with_first(), self._sampling.rate_hz):
            try:
                picture = upright.convert(frame)
            except MemoryError:
                raise
            except (av.FFmpegError, ValueError):
                self.damages.count += 1
                continue
            self.used += 1
            yield ClipFrame(time_s, picture)

    def _with_first(self) -> Iterator[tuple[float, Any]]:
        if self._first is not None:
            yield self._first
            yield from self._moments

    def _timed(self, frames: Iterator[Any]) -> Iterator[tuple[float, Any]]:
        """Give frames their times in seconds of the clip, and keep those that run forwards."""
        for time_s, frame in forwards(self._clocked(frames)):
            if self._limits.is_too_long(time_s):
                raise too_long(self._limits)
            self.last_s = time_s
            yield time_s, frame

    def _clocked(self, frames: Iterator[Any]) -> Iterator[tuple[float, Any]]:
        time_s = -self._step_s
        for frame in frames:
            self.decoded += 1
            time_s = time_s + self._step_s if frame.time is None else frame.time - self.zero_s
            self._check(frame)
            yield time_s, frame

    def _check(self, frame: Any) -> None:
        self._check_size(frame)
        if self.decoded > self._limits.frames:
            raise _too_many(self._limits)

    def _check_size(self, frame: Any) -> None:
        if frame.width * frame.height > self._limits.pixels:
            raise ServiceError(
                Problem.TOO_MANY_PIXELS,
                f"its frames are {frame.width} x {frame.height}; at most {self._limits.pixels} "
                "pixels a frame are read",
            )


def video_stream(container: InputContainer) -> Any:
    """The first stream of pictures that is no cover of an album; None without one."""
    streams = container.streams.video
    return next((s for s in streams if not s.disposition & Disposition.attached_pic), None)


def too_long(limits: ClipLimits, declared_s: float | None = None) -> ServiceError:
    """The error for a clip that is longer than the limit, or declares to be."""
    length = "goes on" if declared_s is None else f"declares {declared_s:.1f} s"
    return ServiceError(
        Problem.CLIP_TOO_LONG, f"it {length}; a clip may have at most {limits.duration_s:g} s"
    )


def _too_many(limits: ClipLimits) -> ServiceError:
    return ServiceError(
        Problem.CLIP_TOO_LONG,
        f"it holds more than {limits.frames} frames, as many as a clip may",
    )


def _expected(stream: Any, declared_s: float | None, limits: ClipLimits) -> int | None:
    """How many frames are declared to be shown, or fit into the declared length at its rate."""
    if stream.frames > limits.frames:
        raise _too_many(limits)
    if stream.frames:
        # An edit list may cut off frames that are only there for others to be decoded.
        hidden = sum(bool(entry.is_discard) for entry in stream.index_entries)
        return int(stream.frames) - hidden
    if declared_s is None or not stream.average_rate:
        return None
    return int(declared_s * float(stream.average_rate) + 0.5)


def forwards(moments: Iterable[tuple[float, Item]]) -> Iterator[tuple[float, Item]]:
    """Leave out moments that lie before an earlier one, and single ones that leap ahead."""
    last_s: float | None = None
    leaping: tuple[float, Item] | None = None
    for moment in moments:
        if leaping is not None and moment[0] > leaping[0]:
            yield leaping
            last_s = leaping[0]
        leaping = None
        if last_s is None or last_s < moment[0] <= last_s + LEAP_S:
            yield moment
            last_s = moment[0]
        elif moment[0] > last_s:
            leaping = moment
    if leaping is not None:
        yield leaping


def sample(moments: Iterable[tuple[float, Item]], rate_hz: float) -> Iterator[tuple[float, Item]]:
    """Pass on the moment nearest to each tick, none twice; times in seconds, increasing.

    Ticks are counted from the first moment, so that a source of the same rate passes whole, and
    of a slower one nothing is left out. A moment is passed on when the next one is known.
    """
    waiting: tuple[float, Item] | None = None
    first, tick = 0.0, 0
    for moment in moments:
        if waiting is None:
            first = moment[0]
        else:
            middle = (waiting[0] + moment[0]) / 2
            if first + tick / rate_hz < middle:
                yield waiting
                tick = math.ceil((middle - first) * rate_hz)
        waiting = moment
    if waiting is not None and first + tick / rate_hz < waiting[0] + 0.5 / rate_hz:
        yield waiting
