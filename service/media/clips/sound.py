"""A container's sound stream into 22 050 Hz mono PCM, piece by piece (in the child)."""

import math
from array import array
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

import av
from av.container import InputContainer

from service.media.clips.contents import RATE_HZ, ClipLimits, Sound, SoundInfo
from service.media.clips.decoding import (
    Tally,
    decode,
    duration_s,
    own_duration_s,
    parts_of,
    tells_lengths,
)
from service.media.clips.mixing import (
    MOST_CHANNELS,
    Layout,
    Measuring,
    Mix,
    even_mix,
    layout_of,
    mixing,
    pulled,
)
from service.media.clips.pictures import too_long

# Frames further off their place than this are put where their times say.
JOINT_S = 0.05
# Formats without times of their own.
TIMELESS = ("aac", "mp3", "flac", "wav")
LEAST_LACK_S = 0.1
# Sound that is told to be narrow or faint.
NARROW_HZ, FAINT_DBFS = 5000.0, -50.0
# The formats whose samples may be no numbers, in one plane or in one a channel.
INTERLEAVED, PLANAR = {"flt": "f", "dbl": "d"}, {"fltp": "f", "dblp": "d"}
KINDS = INTERLEAVED | PLANAR


class SoundReader:
    """The sound of a clip, read as far as it is asked for; times in seconds of the clip."""

    def __init__(
        self,
        container: InputContainer,
        stream: Any,
        limits: ClipLimits,
        zero_s: float,
        mixes: Mapping[Layout, Mix],
    ) -> None:
        context = stream.codec_context
        context.thread_count = 1
        self.declared_s = duration_s(container, stream)
        self.own_s = own_duration_s(container, stream)
        self.info = SoundInfo(
            context.codec.canonical_name,
            context.rate,
            context.channels,
            self.declared_s if tells_lengths(container) else None,
        )
        self.decoded_samples = 0
        self.tally = Tally()
        self._limits, self._mixes = limits, mixes
        self.measuring = Measuring(context.rate or RATE_HZ)
        self._parts = parts_of(container)
        self._is_timeless = container.format.name in TIMELESS
        self.nonsense = Finite()
        frames = self.nonsense.run(decode(container, stream, self.tally, self._parts))
        self._pieces = self._resample(frames, zero_s)
        self._waiting = bytearray()
        self._start: int | None = None
        self._ended = False

    @property
    def end(self) -> int:
        """Index one past the last sample that was read."""
        return (self._start or 0) + len(self._waiting) // 2

    @property
    def decoded_s(self) -> float:
        """Seconds of sound that were decoded, holes not counted."""
        return self.decoded_samples / RATE_HZ

    @property
    def lacking_s(self) -> float:
        """Seconds that the track declares of itself and that were not decoded."""
        return max(0.0, (self.own_s or 0.0) - self.decoded_s)

    @property
    def notes(self) -> list[str]:
        """Say what of the sound is out of the ordinary."""
        notes = [mix.note for mix in self._mixes.values() if mix.note]
        found = self.measuring.result
        if found.level_dbfs is None:
            notes.append("its sound is silent")
        elif found.level_dbfs < FAINT_DBFS:
            notes.append(f"its sound is faint ({found.level_dbfs:.0f} dB of full scale)")
        if self.info.sample_rate_hz < 2 * NARROW_HZ:
            hz = self.info.sample_rate_hz
            notes.append(f"its sound is narrow: at {hz} Hz it holds nothing above {hz // 2} Hz")
        return notes

    @property
    def voice_notes(self) -> list[str]:
        """Say how far a voice in it is to be trusted."""
        band_hz = self.measuring.result.band_hz
        if band_hz is None or band_hz >= NARROW_HZ:
            return []
        return ["so narrow a voice, as over a telephone, makes its estimates less sure"]

    @property
    def damages(self) -> int:
        """The number of damaged pieces; between joined MP3 files there is what is no sound."""
        is_whole = self.info.codec == "mp3" and self.lacking_s < LEAST_LACK_S
        corrupt = max(0, self.tally.corrupt - self._parts.joints)
        return 0 if is_whole else self.tally.damages + corrupt

    def reaches(self, time_s: float) -> bool:
        """Tell whether there is sound after a time; reads as far."""
        self._read_to(round(time_s * RATE_HZ) + 1)
        return self.end > round(time_s * RATE_HZ)

    def until(self, time_s: float) -> Sound | None:
        """Return the sound from where the last call ended up to a time, or to its end."""
        to = round(time_s * RATE_HZ)
        self._read_to(to)
        if self._start is None or to <= self._start or not self._waiting:
            return None
        length = min(len(self._waiting), (to - self._start) * 2)
        taken = Sound(self._start, bytes(self._waiting[:length]))
        del self._waiting[:length]
        self._start = taken.end
        return taken

    def drain(self) -> None:
        """Read the rest, only to know how much there is."""
        while not self._ended:
            self._read()
            self._start = self.end
            self._waiting.clear()

    def _read_to(self, sample: int) -> None:
        while not self._ended and self.end < sample:
            self._read()

    def _read(self) -> None:
        """Append the next piece where its times put it: over a hole zeros, never twice."""
        piece = next(self._pieces, None)
        if piece is None:
            self._ended = True
            return
        self.decoded_samples += len(piece.pcm) // 2
        self.measuring.add(piece.pcm)
        if self._limits.is_too_long(piece.end / RATE_HZ):
            raise too_long(self._limits)
        if self._start is None:
            self._start = max(0, piece.start)
        self._waiting += bytes(2 * max(0, piece.start - self.end))
        self._waiting += piece.pcm[2 * max(0, self.end - piece.start) :]

    def _resample(self, frames: Iterator[Any], zero_s: float) -> Iterator[Sound]:
        """Bring decoded frames to mono at 22 050 Hz, each run of them from its own place on."""
        # Filters are made anew at each gap: they would smear sound from before it over it.
        run: _Run | None = None
        counted = False
        for frame in frames:
            next_s = run.next_s if run else 0.0
            # Times that FFmpeg counts by itself are wrong once the rate has changed.
            counted = counted or bool(self._is_timeless and run and not run.is_like(frame))
            time_s = next_s if counted or frame.time is None else frame.time - zero_s
            try:
                if run is None or not run.continues(frame, time_s):
                    yield from run.end() if run else ()
                    mix = self._mixes.get(layout_of(frame)) or even_mix(frame.layout.nb_channels)
                    run = _Run(frame, time_s, mix)
                yield from run.add(frame)
            except MemoryError:
                raise
            except (av.FFmpegError, ValueError):
                self.tally.damages += 1
        yield from run.end() if run else ()


def sound_fault(stream: Any) -> str | None:
    """Say why the sound of a stream cannot be read; None where it can."""
    if not stream.codec_context:
        return "its sound is coded in a way that is not read here"
    channels = stream.codec_context.channels
    if channels > MOST_CHANNELS:
        return f"its sound has {channels} channels; at most {MOST_CHANNELS} are read"
    return None


class _Run:
    """Frames of one layout that follow each other without a gap."""

    def __init__(self, frame: Any, start_s: float, mix: Mix) -> None:
        self._made_for = layout_of(frame)
        self._start_s, self._samples = start_s, 0
        self._at = round(start_s * RATE_HZ)
        self._graph = mixing(frame, mix)

    @property
    def next_s(self) -> float:
        """The place where the next frame should begin."""
        return self._start_s + self._samples / self._made_for[2]

    def is_like(self, frame: Any) -> bool:
        """Tell whether a frame is of the same format, layout and rate."""
        return self._made_for == layout_of(frame)

    def continues(self, frame: Any, time_s: float) -> bool:
        """Tell whether a frame continues this run."""
        return self.is_like(frame) and abs(time_s - self.next_s) <= JOINT_S

    def add(self, frame: Any) -> Iterator[Sound]:
        """Bring one more frame to mono."""
        # Counted from the run's start: the frame's own times jitter, and a run has no gaps.
        frame.pts, frame.time_base = self._samples, Fraction(1, self._made_for[2])
        self._samples += frame.samples
        self._graph.push(frame)
        yield from self._placed()

    def end(self) -> Iterator[Sound]:
        """Yield what the filters still hold."""
        if self._samples:
            self._graph.push(None)
            yield from self._placed()

    def _placed(self) -> Iterator[Sound]:
        for frame in pulled(self._graph):
            piece = Sound(self._at, bytes(frame.planes[0])[: frame.samples * 2])
            self._at = piece.end
            yield piece


class Finite:
    """Passes frames on; `samples` counts those that were no finite numbers."""

    def __init__(self) -> None:
        self.samples = 0

    def run(self, frames: Iterator[Any]) -> Iterator[Any]:
        """Pass on each frame, mended where it needs it."""
        for frame in frames:
            kind = KINDS.get(frame.format.name)
            if kind is not None:
                channels = frame.layout.nb_channels if frame.format.name in INTERLEAVED else 1
                for plane in frame.planes:
                    self._silence(plane, kind, frame.samples * channels)
            yield frame

    def _silence(self, plane: Any, kind: str, count: int) -> None:
        data = bytes(plane)
        values = array(kind)
        length = count * values.itemsize
        values.frombytes(data[:length])
        if math.isfinite(sum(values)):  # fast, and wrong only where values are beyond all sound
            return
        finite = array(kind, [value if math.isfinite(value) else 0.0 for value in values])
        self.samples += sum(not math.isfinite(value) for value in values)
        plane.update(finite.tobytes() + data[length:])
