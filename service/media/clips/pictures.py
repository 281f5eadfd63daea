"""A container's video stream into sampled upright pictures at their own times (in the child)."""

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
from av.container import InputContainer
from av.stream import Disposition

from service.errors import Problem, ServiceError
from service.media.clips.contents import ClipFrame, ClipLimits, Sampling
from service.media.clips.decoding import Tally, decode, duration_s, parts_of, start_s
from service.media.clips.times import IncreasingTimes, Moment, sample
from service.media.clips.upright import Turn, Upright

MOST_ASPECT = 4
# A gap between pictures that is told.
LONG_GAP_S = 0.3
# Longer durations of a frame are mistakes of its file.
LONGEST_SHOWN_S = 60.0
# A container may count a frame too many.
SLACK_FRAMES = 1


class Pictures:
    """The pictures of a clip; `tally` and `used` count them as they are read.

    Making one reads up to the first frame; where no frame can be decoded, none is `found`.
    """

    def __init__(
        self, container: InputContainer, stream: Any, limits: ClipLimits, sampling: Sampling
    ) -> None:
        context = stream.codec_context
        if context is None:
            raise ServiceError(
                Problem.UNSUPPORTED_CLIP, "its pictures are coded in a way that is not read here"
            )
        self._tracks = len(_of_pictures(container))
        self.codec: str = context.codec.canonical_name
        self.zero_s = start_s(container, stream)
        self.declared_s = duration_s(container, stream)
        self.expected = _expected(stream, limits)
        self.tally, self.parts, self.used = Tally(), parts_of(container), 0
        self._is_avi = container.format.name == "avi"
        self._delay_s: float | None = None
        self.last_s, self.gap = math.inf, (0.0, 0.0)
        self._end_s = 0.0
        self._limits, self._sampling = limits, sampling
        rate_hz = float(stream.average_rate or 25)
        self.step_s = 1 / rate_hz
        self._is_faster = rate_hz > sampling.rate_hz
        self._check_size(context)
        self._upright = Upright(sampling.max_side, _aspect(stream))
        context.thread_count = 1
        context.options = {"max_pixels": str(limits.pixels)}
        self.times = IncreasingTimes(self.step_s)
        frames = decode(container, stream, self.tally, self.parts)
        self._moments = self._bounded(self.times.run(self._timed(frames)))
        self._first = next(self._moments, None)
        # Decoding may find another size than the container declares.
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
        """The turn of the first picture."""
        return Turn.of(self._first.frame) if self._first else Turn(1, 0, 0, 1)

    @property
    def size(self) -> tuple[int, int] | tuple[None, None]:
        """Width and height of the first picture, upright, in pixels."""
        if self._first is None:
            return None, None
        frame = self._first.frame
        stored = self._upright.size(frame)
        return (stored[1], stored[0]) if self.turn.swaps_sides else stored

    @property
    def end_s(self) -> float:
        """Return until when the last picture so far is shown."""
        return self._end_s

    @property
    def damages(self) -> int:
        """The number of damaged pieces; where parts are joined, the last one before ends early."""
        return self.tally.damages + max(0, self.tally.corrupt - self.parts.joints)

    @property
    def missing(self) -> int:
        """The number of frames that the file holds or declares and that were not decoded."""
        declared = (self.expected or 0) - SLACK_FRAMES
        missing = self.tally.missing if self.tally.missing > SLACK_FRAMES else 0
        if self.tally.frames < declared:
            return max(missing, declared + SLACK_FRAMES - self.tally.frames)
        return missing

    @property
    def notes(self) -> list[str]:
        """Say what was done to the times of frames."""
        notes = [*self._upright.notes]
        if self._tracks > 1:
            notes.append(f"tracks of pictures: {self._tracks} (the first one is used)")
        if self.parts.joints:
            notes.append(
                f"jumps of its times, as in joined files: {self.parts.joints} (each part is put "
                "behind the one before)"
            )
        if self.times.moved:
            notes.append(
                f"frames whose times do not come after the one before: {self.times.moved} (they "
                "are put between their neighbours)"
            )
        if self.gap[0] > max(LONG_GAP_S, 3 * self.step_s):
            notes.append(f"there is no picture for {self.gap[0]:.2f} s after {self.gap[1]:.2f} s")
        return notes

    def frames(self) -> Iterator[ClipFrame]:
        """Yield the pictures nearest to the ticks of the working rate."""
        for moment in sample(self._with_first(), self._sampling.rate_hz, self._is_faster):
            try:
                picture = self._upright.convert(moment.frame)
            # No damage of the clip: the memory of this process has come to its limit.
            except MemoryError:
                raise
            except (av.FFmpegError, ValueError):
                self.tally.damages += 1
                continue
            self.used += 1
            yield ClipFrame(moment.time_s, picture, moment.number)

    def _with_first(self) -> Iterator[Moment]:
        if self._first is not None:
            yield self._first
            yield from self._moments

    def _bounded(self, moments: Iterator[Moment]) -> Iterator[Moment]:
        for moment in moments:
            if self._limits.is_too_long(moment.time_s):
                raise too_long(self._limits)
            self.gap = max(self.gap, (moment.time_s - self.last_s, self.last_s))
            self.last_s = moment.time_s
            self._end_s = max(self._end_s, moment.time_s + self._shown_s(moment.frame))
            yield moment

    def _shown_s(self, frame: Any) -> float:
        """Return a frame's duration: its own, else that of frames on average."""
        own_s = float(frame.duration * frame.time_base) if frame.duration else 0.0
        return own_s if 0 < own_s <= LONGEST_SHOWN_S else min(self.step_s, 1.0)

    def _timed(self, frames: Iterator[Any]) -> Iterator[Moment]:
        """Number frames, and give them their times in seconds of the clip."""
        time_s = -self.step_s
        for number, frame in enumerate(frames):
            own_s = self._own_s(frame)
            time_s = time_s + self.step_s if own_s is None else own_s
            self._check(frame)
            yield Moment(number, time_s, frame)

    def _own_s(self, frame: Any) -> float | None:
        """Return a frame's time in seconds of the clip, if any.

        AVI has times of decoding alone; the first picture is shown where its stream begins.
        """
        if not self._is_avi or frame.dts is None:
            return None if frame.time is None else frame.time - self.zero_s
        time_s = float(frame.dts * frame.time_base) - self.zero_s
        if self._delay_s is None:
            self._delay_s = max(0.0, time_s)
        return time_s - self._delay_s

    def _check(self, frame: Any) -> None:
        self._check_size(frame)
        if self.tally.frames > self._limits.frames:
            raise _too_many(self._limits)

    def _check_size(self, frame: Any) -> None:
        if frame.width * frame.height > self._limits.pixels:
            raise ServiceError(
                Problem.TOO_MANY_PIXELS,
                f"its frames are {frame.width} x {frame.height}; at most {self._limits.pixels} "
                "pixels a frame are read",
            )


def video_stream(container: InputContainer) -> Any:
    """Return the first stream of pictures that is no cover of an album; None without one."""
    return next(iter(_of_pictures(container)), None)


def _of_pictures(container: InputContainer) -> list[Any]:
    streams = container.streams.video
    return [one for one in streams if not one.disposition & Disposition.attached_pic]


def too_long(limits: ClipLimits, declared_s: float | None = None) -> ServiceError:
    """Return the error for a clip that is longer than the limit, or declares to be."""
    length = "goes on" if declared_s is None else f"declares {declared_s:.1f} s"
    return ServiceError(
        Problem.CLIP_TOO_LONG, f"it {length}; a clip may have at most {limits.duration_s:g} s"
    )


def _aspect(stream: Any) -> Fraction:
    """Return a pixel's width by its height; 1 where it is not declared or beyond belief."""
    aspect = stream.sample_aspect_ratio
    return Fraction(aspect) if aspect and 1 / MOST_ASPECT <= aspect <= MOST_ASPECT else Fraction(1)


def _too_many(limits: ClipLimits) -> ServiceError:
    return ServiceError(
        Problem.CLIP_TOO_LONG,
        f"it holds more than {limits.frames} frames, as many as a clip may",
    )


def _expected(stream: Any, limits: ClipLimits) -> int | None:
    """Return the number of frames declared to be shown; None where it is not declared."""
    if stream.frames > limits.frames:
        raise _too_many(limits)
    if not stream.frames:
        return None
    # An edit list may cut off frames that are only there for others to be decoded.
    hidden = sum(bool(entry.is_discard) for entry in stream.index_entries)
    return int(stream.frames) - hidden
