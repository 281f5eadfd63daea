"""An open file into the messages of a clip: what it declares, its chunks, its totals (child)."""

from collections.abc import Iterator
from typing import Any

from av.container import InputContainer

from service.errors import Problem, ServiceError
from service.media.clips.contents import (
    RATE_HZ,
    ClipChunk,
    ClipFrame,
    ClipInfo,
    ClipTotals,
    Sampling,
)
from service.media.clips.decoding import READ_HERE, name_container, open_container, start_s
from service.media.clips.limits import ClipLimits
from service.media.clips.pictures import Pictures, too_long, video_stream
from service.media.clips.sound import Sound

CHUNK_FRAMES = 8
# A chunk of few pictures ends after this time.
CHUNK_S = 4.0
# Half the window of the Mel spectrogram that belongs to a picture, and a little.
AHEAD_S = 1.55
# Frames or sound missing at the end by less than these are rounding of what was declared.
SLACK_FRAMES, SLACK_S = 1, 0.25


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
        self._sound = _open_sound(open_container(descriptor, limits), limits, self._pictures)
        lengths = [part.declared_s for part in (self._pictures, self._sound) if part]
        self._declared_s = max((s for s in lengths if s is not None), default=None)
        if self._declared_s is not None and limits.is_too_long(self._declared_s):
            raise too_long(limits, self._declared_s)
        lacks_sound = self._sound is None and len(container.streams.audio) > 0
        lacks_pictures = self._pictures is not None and not self._pictures.found
        self._lacks = lacks_sound or lacks_pictures
        if lacks_pictures:
            self._pictures = None
        if not self._pictures and not (self._sound and self._sound.reaches(0)):
            raise ServiceError(
                Problem.EMPTY_CLIP,
                f"no frame and no sound can be decoded from it; send {READ_HERE}",
            )

    @property
    def info(self) -> ClipInfo:
        """What the clip declares."""
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
        frames = self._pictures.frames() if self._pictures else self._ticks()
        for group in _groups(frames):
            until_s = group[-1].time_s + AHEAD_S
            yield ClipChunk(tuple(group), self._sound.until(until_s) if self._sound else None)
        if self._sound:
            self._sound.drain()

    @property
    def totals(self) -> ClipTotals:
        """What was found, to be asked for after the chunks."""
        pictures, sound = self._pictures, self._sound
        damages = sum(part.damages.count for part in (pictures, sound) if part)
        ends = [pictures.last_s if pictures else 0.0, sound.end / RATE_HZ if sound else 0.0]
        return ClipTotals(
            decoded_frames=pictures.decoded if pictures else 0,
            used_frames=pictures.used if pictures else 0,
            decoded_sound_s=sound.decoded_s if sound else None,
            duration_s=max(ends),
            damages=damages,
            complete=not (damages or self._lacks) and _is_whole(pictures, sound),
        )

    def _ticks(self) -> Iterator[ClipFrame]:
        """The moments of sound alone."""
        number = 0
        while self._sound and self._sound.reaches(number / self._sampling.rate_hz):
            yield ClipFrame(number / self._sampling.rate_hz, None)
            number += 1


def _open_pictures(
    container: InputContainer, limits: ClipLimits, sampling: Sampling
) -> Pictures | None:
    stream = video_stream(container)
    return None if stream is None else Pictures(container, stream, limits, sampling)


def _open_sound(
    container: InputContainer, limits: ClipLimits, pictures: Pictures | None
) -> Sound | None:
    """The main sound track that can be read, if any; without pictures there has to be one."""
    tracks: list[Any] = [container.streams.best("audio"), *container.streams.audio]
    readable = [track for track in tracks if track and track.codec_context]
    if any(tracks) and not readable and pictures is None:
        raise ServiceError(
            Problem.UNSUPPORTED_CLIP, "its sound is coded in a way that is not read here"
        )
    if not readable:
        return None
    zero_s = pictures.zero_s if pictures and pictures.found else start_s(container, readable[0])
    return Sound(container, readable[0], limits, zero_s)


def _groups(frames: Iterator[ClipFrame]) -> Iterator[list[ClipFrame]]:
    group: list[ClipFrame] = []
    for frame in frames:
        if group and (len(group) == CHUNK_FRAMES or frame.time_s - group[0].time_s > CHUNK_S):
            yield group
            group = []
        group.append(frame)
    if group:
        yield group


def _is_whole(pictures: Pictures | None, sound: Sound | None) -> bool:
    """Whether as much was decoded as was declared."""
    if pictures and pictures.expected and pictures.decoded + SLACK_FRAMES < pictures.expected:
        return False
    return not (sound and sound.declared_s and sound.decoded_s + SLACK_S < sound.declared_s)
