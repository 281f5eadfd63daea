"""What a client of the live affect socket sends."""

import struct

from service.media.clips.contents import RATE_HZ


def sound(time_s: float, seconds: float = 0.1, value: int = 7) -> bytes:
    """Return the message of some PCM from a time on."""
    pcm = struct.pack("<h", value) * round(seconds * RATE_HZ)
    return struct.pack("<cd", b"S", time_s) + pcm


def tick(time_s: float) -> bytes:
    """Return the message of a moment without a picture."""
    return struct.pack("<cd", b"F", time_s)
