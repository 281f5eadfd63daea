"""A binary message of an affect socket into a frame or sound with its time, and whether it may be.

A message is one kind byte (`F` frame, `S` sound), eight bytes of little-endian float64, the time in
seconds, then an encoded picture, or 16-bit little-endian mono PCM at 22 050 Hz whose first sample
is at that time. A frame without a picture is a moment that nothing is seen of.
"""

import math

from service.affect.sounds import RATE_HZ, Sound, check_pcm, to_samples
from service.errors import Problem, ServiceError
from service.live.mailbox import Kind
from service.live.messages import FRAME, HEADER, check_time

SOUND = b"S"
KINDS = {FRAME: Kind.FRAME, SOUND: Kind.SOUND}
TOLERANCE_S = 2.0  # how far sound may be behind or ahead


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
    """What time it is in a stream whose frames and sound come by their own times.

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
