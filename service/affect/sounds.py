"""Sound of a socket: read off its messages, kept in the stream's time, joined into gapless runs.

A message is one kind byte (`F` frame, `S` sound), eight bytes of little-endian float64, the time in
seconds, then an encoded picture, or 16-bit little-endian mono PCM at 22 050 Hz whose first sample
is at that time. A frame without a picture is a moment that nothing is seen of.
"""

import bisect
import math
from collections.abc import Iterable
from dataclasses import dataclass

from service.errors import Problem, ServiceError
from service.live.messages import FRAME, HEADER, Kind, check_time
from service.media.clips.contents import RATE_HZ, SAMPLE_BYTES, Sound

MOST_PIECE_S = 10.0  # of one message
MOST_HELD_S = 12.0
MOST_PIECES = 1000
MOST_RUNS = 4  # heard in one step
JITTER = 441  # samples, 20 ms: pieces that miss one another by less belong together
FILES = {b"RIFF": "a WAV file", b"OggS": "an Ogg file", b"fLaC": "a FLAC file", b"ID3": "an MP3"}
SOUND = b"S"
KINDS = {FRAME: Kind.FRAME, SOUND: Kind.SOUND}
TOLERANCE_S = 2.0  # how far sound may be behind or ahead


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
    """The sound of one step: gapless runs; `before` is the end of what was heard before them."""

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


def kind_of(message: bytes) -> Kind:
    """Return what a message was sent as."""
    return KINDS.get(message[:1], Kind.MESSAGE)


def split_message(message: bytes) -> tuple[float, bytes]:
    """Return a message's time and what is behind its header; raises ServiceError."""
    if kind_of(message) is Kind.MESSAGE:
        found = f"{message[:1]!r}" if message else "nothing"
        raise ServiceError(
            Problem.INVALID_REQUEST,
            f"a binary message begins with `F` (frame) or `S` (sound); found {found}",
        )
    if len(message) < HEADER.size:
        raise ServiceError(
            Problem.INVALID_REQUEST,
            f"the header of a message has {HEADER.size} bytes; {len(message)} came",
        )
    _, time_s = HEADER.unpack_from(message)
    return check_time(time_s), message[HEADER.size :]


def read_sound(time_s: float, pcm: bytes) -> Sound:
    """Return sound whose first sample is at a time; raises ServiceError."""
    return Sound(to_samples(check_time(time_s)), check_pcm(pcm))


class StreamClock:
    """The clock of a stream whose frames and sound come by their own times.

    Frames tell it, and sound until there is one. It goes on between messages, so that sound is not
    early only because the camera was off for a while.
    """

    def __init__(self) -> None:
        self.come_s = -math.inf  # how far the stream has come, by frames or sound
        self._frame_s: float | None = None  # time of the newest frame
        self._mark: tuple[float, float] | None = None  # a time of the stream, when that arrived

    def check_frame(self, time_s: float) -> None:
        """Raise ServiceError for a frame that is not later than the one before it."""
        if self._frame_s is not None and time_s <= self._frame_s:
            raise ServiceError(
                Problem.INVALID_TIME,
                f"times of frames increase: {time_s:g} s came after {self._frame_s:g} s; "
                "a reset begins anew",
            )

    def note_frame(self, time_s: float, arrived_s: float) -> None:
        """Let the newest frame be this one, which arrived at a time of the process."""
        self._frame_s = time_s
        self._mark = time_s, arrived_s
        self.come_s = max(self.come_s, time_s)

    def check_sound(self, sound: Sound, arrived_s: float) -> None:
        """Raise ServiceError for sound that is too late or too early to be heard."""
        start_s, end_s = sound.start / RATE_HZ, sound.end / RATE_HZ
        if self._frame_s is not None and end_s < self._frame_s - TOLERANCE_S:
            late_s = self._frame_s - end_s
            raise ServiceError(
                Problem.INVALID_TIME,
                f"the sound is {late_s:.2f} s behind the newest frame; at most "
                f"{TOLERANCE_S:g} s can be made good",
            )
        if self._mark is not None:
            early_s = start_s - (self._mark[0] + max(0.0, arrived_s - self._mark[1]))
            if early_s > TOLERANCE_S:
                raise ServiceError(
                    Problem.INVALID_TIME,
                    f"the sound is {early_s:.2f} s ahead of the stream; at most "
                    f"{TOLERANCE_S:g} s can wait",
                )

    def note_sound(self, sound: Sound, arrived_s: float) -> None:
        """Let it be as late as this sound says, where no frame tells."""
        end_s = sound.end / RATE_HZ
        self.come_s = max(self.come_s, end_s)
        if self._frame_s is None and (self._mark is None or end_s >= self._mark[0]):
            self._mark = end_s, arrived_s
