"""An open file into the messages of a clip: what it declares, its chunks, its totals (child)."""

import itertools
import math
import os
from collections.abc import Iterator
from typing import Any

from av.container import InputContainer

from service.errors import Problem, ServiceError
from service.media.clips.contents import (
    AHEAD_S,
    RATE_HZ,
    ClipChunk,
    ClipFrame,
    ClipInfo,
    ClipLimits,
    ClipTotals,
    Sampling,
)
from service.media.clips.decoding import (
    READ_HERE,
    Tally,
    decode,
    name_container,
    open_container,
    parts_of,
    start_s,
)
from service.media.clips.lengths import is_cut_off, is_joined, tells_its_end
from service.media.clips.mixing import Layout, Mix, listen
from service.media.clips.pictures import Pictures, too_long, video_stream
from service.media.clips.sound import Finite, SoundReader, sound_fault

# As many as a question to `affect` may have.
CHUNK_FRAMES = 8
FIRST_FRAMES = 2  # of the first chunk: its answer is the first that anybody sees
# A chunk of few pictures ends after this time.
CHUNK_S = 4.0
CUT_OFF = "the file ends before the end that it declares"
BROKEN_OFF = "the file ends in the middle of a packet: its end is missing"
CUTS = frozenset({CUT_OFF, BROKEN_OFF})
NO_END = (
    "it does not declare where it ends, as recordings of live pictures and broadcasts: whether its "
    "end is missing cannot be known"
)
# Sound missing by less than this is rounding of what was declared.
SLACK_S = 0.25
# Moments of sound alone come at most so often.
SOUND_HZ = 100.0
# Sound longer than this before the first picture or after the last has moments of its own.
ALONE_S = 0.25


def read_clip(
    descriptor: int, limits: ClipLimits, sampling: Sampling
) -> Iterator[ClipInfo | ClipChunk | ClipTotals]:
    """Yield what a clip declares, its chunks, its totals; raises what FFmpeg does."""
    reading = Reading(descriptor, limits, sampling)
    yield reading.info
    yield from reading.chunks()
    yield reading.totals


class Reading:
    """One clip from its first byte to its totals.

    Pictures and sound are read through two openings of the file, so that however they lie in it
    neither waits in memory for the other.
    """

    def __init__(self, descriptor: int, limits: ClipLimits, sampling: Sampling) -> None:
        self._sampling = sampling
        container = open_container(descriptor, limits)
        self._format = name_container(container, descriptor)
        self._pictures = _open_pictures(container, limits, sampling)
        self._lacks, self._ends = _outer_faults(descriptor)
        self._sound = _open_sound(descriptor, limits, self._pictures, self._lacks)
        lengths = [part.declared_s for part in (self._pictures, self._sound) if part]
        self._declared_s = max((s for s in lengths if s is not None), default=None)
        if self._declared_s is not None and limits.is_too_long(self._declared_s):
            raise too_long(limits, self._declared_s)
        # Sound alone is a clip, too: broken pictures do not refuse it.
        if self._pictures and not self._pictures.found:
            self._lacks.append("none of its pictures could be decoded")
            self._pictures = None
        if not self._pictures and not (self._sound and self._sound.reaches(0)):
            raise ServiceError(
                Problem.EMPTY_CLIP,
                f"no frame and no sound can be decoded from it; send {READ_HERE}",
            )

    @property
    def info(self) -> ClipInfo:
        """Return what the clip declares."""
        pictures, sound = self._pictures, self._sound
        width, height = pictures.size if pictures else (None, None)
        return ClipInfo(
            format=self._format,
            duration_s=self._declared_s,
            codec=pictures.codec if pictures else None,
            width=width,
            height=height,
            rotation_deg=pictures.turn.degrees if pictures else 0,
            expected_frames=pictures.expected if pictures else None,
            sound=sound.info if sound else None,
        )

    def chunks(self) -> Iterator[ClipChunk]:
        """Yield the clip, chunk by chunk."""
        for group in _groups(self._moments()):
            until_s = group[-1].time_s + AHEAD_S
            yield ClipChunk(tuple(group), self._sound.until(until_s) if self._sound else None)
        if self._sound:
            # Sound behind the last picture counts in the totals, and damage in it is told.
            self._sound.drain()

    @property
    def totals(self) -> ClipTotals:
        """Return the totals, to be asked for after the chunks."""
        pictures, sound = self._pictures, self._sound
        damages = (pictures.damages if pictures else 0) + (sound.damages if sound else 0)
        decoded = pictures.tally.frames if pictures else 0
        missing = pictures.missing if pictures else 0
        ends = [pictures.end_s if pictures else 0.0, sound.end / RATE_HZ if sound else 0.0]
        faults = self._faults(damages, missing, max(ends))
        return ClipTotals(
            decoded_frames=decoded,
            expected_frames=self._expected(damages, missing),
            used_frames=pictures.used if pictures else 0,
            decoded_sound_s=sound.decoded_s if sound else None,
            duration_s=max(ends),
            damages=damages,
            complete=False if faults else True if self._ends else None,
            notes=(
                *faults,
                *(pictures.notes if pictures else ()),
                *(sound.notes if sound else ()),
                *([] if self._ends or CUTS.intersection(faults) else [NO_END]),
            ),
            voice_notes=tuple(sound.voice_notes) if sound else (),
            sound=sound.measuring.result if sound else None,
        )

    def _expected(self, damages: int, missing: int) -> int | None:
        """Count the frames that the file holds or declares.

        None where some are missing, or may be, and it does not declare how many there were.
        """
        pictures = self._pictures
        if pictures is None:
            return None
        lost = damages or CUTS.intersection(self._lacks) or not self._ends
        return None if lost and pictures.expected is None else pictures.tally.frames + missing

    def _faults(self, damages: int, missing: int, end_s: float) -> list[str]:
        """Say what of the file could not be used."""
        faults = list(self._lacks)
        if CUT_OFF in faults and (self._declared_s or 0.0) > end_s + SLACK_S:
            faults.append(f"it declares {self._declared_s:.1f} s, of which {end_s:.1f} s are there")
        if missing:
            faults.append(
                f"frames that could not be decoded: {missing} of {missing + self._decoded}"
            )
        if damages:
            faults.append(f"damaged pieces of the file: {damages}")
        if self._sound and self._sound.nonsense.samples:
            faults.append(
                f"samples of its sound that are no finite numbers: {self._sound.nonsense.samples} "
                "(they are silent)"
            )
        if self._sound and self._sound.lacking_s > SLACK_S:
            faults.append(f"{self._sound.lacking_s:.1f} s of its sound could not be decoded")
        return faults

    def _moments(self) -> Iterator[ClipFrame]:
        """Yield the pictures, and moments without where sound begins earlier or ends later."""
        rate_hz, sound = self._sampling.rate_hz, self._sound
        if math.isinf(rate_hz):
            sound = None  # every picture is asked for, and there is no rate for sound
        last_s: float | None = None
        for frame in self._pictures.frames() if self._pictures else ():
            if last_s is None and sound and frame.time_s > ALONE_S:
                yield from self._ticks(0.0, frame.time_s - 0.5 / rate_hz)
            yield frame
            last_s = frame.time_s
        if not self._pictures or last_s is None:
            yield from self._ticks(0.0, math.inf)
        elif sound and sound.reaches(last_s + max(self._pictures.step_s, 1 / rate_hz) + ALONE_S):
            yield from self._ticks(last_s + 1 / rate_hz, math.inf)

    def _ticks(self, begin_s: float, end_s: float) -> Iterator[ClipFrame]:
        """Yield moments of sound alone."""
        rate_hz = min(self._sampling.rate_hz, SOUND_HZ)
        for number in itertools.count():
            time_s = begin_s + number / rate_hz
            if time_s >= end_s or not (self._sound and self._sound.reaches(time_s)):
                return
            yield ClipFrame(time_s, None)

    @property
    def _decoded(self) -> int:
        return self._pictures.tally.frames if self._pictures else 0


def _outer_faults(descriptor: int) -> tuple[list[str], bool]:
    """Find what is wrong with the file as a whole, and whether it declares where it ends."""

    def read(at: int, count: int) -> bytes:
        return os.pread(descriptor, count, at)

    size = os.fstat(descriptor).st_size
    tells = tells_its_end(read, size)
    faults = [CUT_OFF if tells else BROKEN_OFF] * is_cut_off(read, size)
    faults += ["another file is joined to it, which is not read"] * is_joined(read, size)
    return faults, tells


def _open_pictures(
    container: InputContainer, limits: ClipLimits, sampling: Sampling
) -> Pictures | None:
    stream = video_stream(container)
    return None if stream is None else Pictures(container, stream, limits, sampling)


def _open_sound(
    descriptor: int, limits: ClipLimits, pictures: Pictures | None, faults: list[str]
) -> SoundReader | None:
    """Return the main readable sound track, if any; without pictures there has to be one."""
    container = open_container(descriptor, limits)
    found: list[Any] = [container.streams.best("audio"), *container.streams.audio]
    tracks = [track for track in found if track]
    reasons = [sound_fault(track) for track in tracks]
    track = next((t for t, reason in zip(tracks, reasons, strict=True) if reason is None), None)
    if tracks and track is None:
        if pictures is None:
            raise ServiceError(Problem.UNSUPPORTED_CLIP, str(reasons[0]))
        faults.append(str(reasons[0]))
    if track is None:
        return None
    zero_s = pictures.zero_s if pictures and pictures.found else start_s(container, track)
    return SoundReader(container, track, limits, zero_s, _listen(descriptor, limits, track.index))


def _listen(descriptor: int, limits: ClipLimits, index: int) -> dict[Layout, Mix]:
    """Choose how the channels of a track are mixed, by an opening of its own."""
    container = open_container(descriptor, limits)
    stream: Any = container.streams[index]
    if stream.codec_context.channels == 1:
        return {}
    found = listen(Finite().run(decode(container, stream, Tally(), parts_of(container))))
    return dict([found]) if found else {}


def _groups(frames: Iterator[ClipFrame]) -> Iterator[list[ClipFrame]]:
    group: list[ClipFrame] = []
    most = FIRST_FRAMES
    for frame in frames:
        if group and (len(group) == most or frame.time_s - group[0].time_s > CHUNK_S):
            yield group
            group, most = [], CHUNK_FRAMES
        group.append(frame)
    if group:
        yield group
