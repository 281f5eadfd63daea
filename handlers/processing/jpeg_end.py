"""A JPEG whose end marker is missing: whole all the same, or cut off.

Decoders show it either way, grey where nothing came. What is missing shows by comparison: decoded
with one filling behind its last byte and with another, a whole picture is the same.
"""

from collections.abc import Iterator
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL.JpegImagePlugin import JpegImageFile

END = b"\xff\xd9"
NOTE = "the JPEG ends before its end marker; all of it is there, but for its last pixels at most"
# A picture of which more than this share would be filled is cut off.
MOST_MISSING = 0.005
FILLINGS = (b"\x55\x13\x6e", b"\xa9\x3d\x02")
RESTART_INTERVAL, RESTARTS = 0xDD, 256
PROGRESSIVE, START_OF_SCAN, COEFFICIENTS = 0xC2, 0xDA, 64
WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})


def mend(data: bytes) -> JpegImageFile | None:
    """Open and decode a JPEG that lacks its end marker; None where more is missing."""
    if data.endswith(END) or not _has_all_scans(data):
        return None
    data = data.rstrip(b"\xff")  # half of the marker
    filled = [np.asarray(_decode(data + _filling(data, piece) + END)) for piece in FILLINGS]
    if _differing(*filled) > MOST_MISSING:
        return None
    return _decode(data + END)


def _decode(data: bytes) -> JpegImageFile:
    picture = JpegImageFile(BytesIO(data))
    picture.load()
    return picture


def _filling(data: bytes, piece: bytes) -> bytes:
    """Return a filling long enough for a picture of which a hundredth is missing.

    Where restart markers part the data, each part that is missing gets its own.
    """
    if not any(marker == RESTART_INTERVAL and any(body) for marker, body in _segments(data)):
        return piece * (16 + len(data) // 100)
    seen = sum(data.count(bytes((0xFF, 0xD0 + number))) for number in range(8))
    return b"".join(
        piece * 16 + bytes((0xFF, 0xD0 + (seen + number) % 8)) for number in range(RESTARTS)
    )


def _differing(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    differs = first != second
    return float((differs.any(axis=2) if differs.ndim == 3 else differs).mean())


def _has_all_scans(data: bytes) -> bool:
    """Tell whether the scans of a progressive JPEG have given every coefficient its last bit."""
    exact: dict[int, set[int]] = {}
    components: list[int] = []
    for marker, body in _segments(data):
        if marker == PROGRESSIVE and len(body) >= 6:
            components = [body[6 + 3 * number] for number in range((len(body) - 6) // 3)]
        if marker == START_OF_SCAN and components:
            count = body[0]
            first, last, bits = body[1 + 2 * count : 4 + 2 * count]
            for name in body[1 : 1 + 2 * count : 2]:
                if bits & 15 == 0:
                    exact.setdefault(name, set()).update(range(first, last + 1))
    return all(len(exact.get(name, ())) == COEFFICIENTS for name in components)


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the markers with what they hold; between a scan's bytes there are none."""
    at = 2
    while (at := data.find(b"\xff", at)) >= 0 and at + 1 < len(data):
        marker = data[at + 1]
        if marker in (0x00, 0xFF) or marker in WITHOUT_LENGTH:
            at += 1 if marker == 0xFF else 2
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        yield marker, data[at + 4 : at + 2 + length]
        # A length counts its own two bytes; a smaller one, a mistake, must not stop the walk.
        at += 2 + max(2, length)
