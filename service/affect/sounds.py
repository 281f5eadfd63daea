"""Pieces of sound with their times into runs that a model can hear: in order, without jitter."""

import bisect
from collections.abc import Iterable
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

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.pcm) / SAMPLE_BYTES / RATE_HZ

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
    """What one step hears: gapless runs; `before` is the end of what was heard before them."""

    runs: tuple[Sound, ...]
    before: int | None


class SoundQueue:
    """Sound that has not been heard yet, bounded: the oldest makes room.

    `lost_s` is how much has made room since it was last set to 0.
    """

    def __init__(self) -> None:
        self.lost_s = 0.0
        self._pieces: list[Sound] = []  # by their starts
        self._end: int | None = None  # of what was taken

    @property
    def held_s(self) -> float:
        """Seconds of sound that wait."""
        return sum(piece.seconds for piece in self._pieces)

    @property
    def end(self) -> int:
        """The end of the latest sound, heard or not; 0 where there was none."""
        return max([piece.end for piece in self._pieces] + [self._end or 0])

    def put(self, piece: Sound) -> None:
        """Let a piece wait, whenever in the stream it was."""
        bisect.insort(self._pieces, piece, key=lambda other: other.start)
        while self.held_s > MOST_HELD_S or len(self._pieces) > MOST_PIECES:
            self.lost_s += self._pieces.pop(0).seconds

    def take(self, until: int) -> Hearing:
        """Remove what waits from before a sample, in gapless runs, a few at most.

        Repeated samples, and what would have to be heard before what was taken already, are left
        out.
        """
        joined = join(self._pieces, self._end)
        runs = [run.between(run.start, until) for run in joined if run.start < until][:MOST_RUNS]
        hearing = Hearing(tuple(runs), self._end)
        if runs:
            self._end = runs[-1].end
        rest = (run.between(max(run.start, self._end or run.start), run.end) for run in joined)
        self._pieces = [run for run in rest if run.pcm]
        return hearing

    def give_back(self, hearing: Hearing) -> None:
        """Let what was taken last wait again: it was not heard after all."""
        self._end = hearing.before
        for run in hearing.runs:
            self.put(run)


def join(pieces: Iterable[Sound], end: int | None) -> list[Sound]:
    """Put pieces, by their starts, into gapless runs after what ended at `end`.

    Those that miss one another by some milliseconds are put end to end, as clocks differ and gaps
    click; what is there twice is kept once.
    """
    runs: list[tuple[int, bytearray]] = []
    for piece in pieces:
        if end is None or piece.start - end > JITTER:
            end = piece.start
            runs.append((end, bytearray()))
        elif not runs:
            runs.append((end, bytearray()))
        fresh = piece.between(end, piece.end) if end - piece.start > JITTER else piece
        runs[-1][1].extend(fresh.pcm)
        end += len(fresh.pcm) // SAMPLE_BYTES
    return [Sound(start, bytes(pcm)) for start, pcm in runs if pcm]
