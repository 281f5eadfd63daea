"""Pieces of sound with their times into runs that a model can hear: in order, without jitter."""

import bisect
from dataclasses import dataclass
from typing import Any

from service.errors import Problem, ServiceError

RATE_HZ = 22_050
SAMPLE_BYTES = 2
MOST_PIECE_S = 10.0  # of one message
MOST_HELD_S = 12.0
MOST_PIECES = 1000
MOST_RUNS = 4  # heard in one step
JITTER = 441  # samples, 20 ms: pieces that miss one another by less belong together
FILES = {b"RIFF": "a WAV file", b"OggS": "an Ogg file", b"fLaC": "a FLAC file", b"ID3": "an MP3"}


@dataclass(frozen=True)
class Sound:
    """16-bit little-endian mono PCM at 22 050 Hz; `start` counts samples from time zero."""

    start: int
    pcm: bytes

    @property
    def end(self) -> int:
        """The first sample after it."""
        return self.start + len(self.pcm) // SAMPLE_BYTES

    def between(self, start: int, end: int) -> "Sound":
        """Return the part from `start` to before `end`; empty where there is none."""
        first, last = max(start, self.start), min(end, self.end)
        cut = slice((first - self.start) * SAMPLE_BYTES, (last - self.start) * SAMPLE_BYTES)
        return Sound(first, self.pcm[cut] if first < last else b"")

    def on_the_wire(self) -> dict[str, Any]:
        """Return what a handler reads."""
        pcm = {"dtype": "int16", "shape": [len(self.pcm) // SAMPLE_BYTES], "data": self.pcm}
        return {"start": self.start, "pcm": pcm}


def to_samples(seconds: float) -> int:
    """Return the number of samples until a time."""
    return round(seconds * RATE_HZ)


def check_pcm(pcm: bytes) -> bytes:
    """Return the bytes of one piece; raises ServiceError for what cannot be one."""
    for magic, name in FILES.items():
        if pcm.startswith(magic):
            _refuse(f"it is {name}; raw 16-bit little-endian mono PCM at {RATE_HZ} Hz is needed")
    if not pcm:
        _refuse("there are no samples")
    if len(pcm) % SAMPLE_BYTES:
        _refuse(f"a sample has {SAMPLE_BYTES} bytes; {len(pcm)} bytes came")
    if len(pcm) > (most := to_samples(MOST_PIECE_S) * SAMPLE_BYTES):
        _refuse(f"a piece may have {most} bytes ({MOST_PIECE_S:g} s); this one has {len(pcm)}")
    return pcm


def _refuse(detail: str) -> None:
    raise ServiceError(Problem.INVALID_SOUND, detail)


@dataclass(frozen=True)
class Hearing:
    """What one step hears: gapless runs, and where the last one ends.

    `until` is that by the times that the pieces came with, `end` without their jitter.
    """

    runs: tuple[Sound, ...] = ()
    until: int | None = None
    end: int | None = None


class SoundQueue:
    """Sound that has not been heard yet, bounded: the oldest makes room.

    `lost_s` is how much has made room since it was last set to 0.
    """

    def __init__(self) -> None:
        self.lost_s = 0.0
        self._pieces: list[Sound] = []  # by their starts
        self._end: int | None = None  # of what was heard

    @property
    def held_s(self) -> float:
        """Seconds of sound that wait."""
        return sum(len(piece.pcm) for piece in self._pieces) / SAMPLE_BYTES / RATE_HZ

    @property
    def end(self) -> int:
        """The end of the latest sound, heard or not; 0 where there was none."""
        return max([piece.end for piece in self._pieces] + [self._end or 0])

    def put(self, piece: Sound) -> None:
        """Let a piece wait, whenever in the stream it was."""
        bisect.insort(self._pieces, piece, key=lambda other: other.start)
        while self.held_s > MOST_HELD_S or len(self._pieces) > MOST_PIECES:
            oldest = self._pieces.pop(0)
            self.lost_s += len(oldest.pcm) / SAMPLE_BYTES / RATE_HZ

    def before(self, until: int) -> Hearing:
        """Return what waits from before a sample, in gapless runs, a few at most.

        Repeated samples are left out. Pieces that miss one another by some milliseconds are put end
        to end, as clocks differ and gaps click.
        """
        runs: list[tuple[int, bytearray]] = []
        end, last = self._end, None
        for piece in self._pieces:
            if piece.start >= until:
                break
            part = piece.between(piece.start, until)
            gap = end is None or part.start - end > JITTER
            if gap and len(runs) == MOST_RUNS:
                break
            if end is None or gap or not runs:
                end = part.start if end is None or gap else end
                runs.append((end, bytearray()))
            if end - part.start > JITTER:
                part = part.between(end, until)
            runs[-1][1].extend(part.pcm)
            end += len(part.pcm) // SAMPLE_BYTES
            last = max(last or part.end, part.end)
        return Hearing(tuple(Sound(start, bytes(pcm)) for start, pcm in runs if pcm), last, end)

    def heard(self, hearing: Hearing) -> None:
        """Let go of what was heard, and of what would have to be heard before it."""
        if (until := hearing.until) is None:
            return
        self._end = hearing.end
        cut = (piece.between(until, piece.end) for piece in self._pieces)
        self._pieces = [piece for piece in cut if piece.pcm]
