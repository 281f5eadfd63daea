"""A file's outermost boxes: whether it ends too early, and whether another one follows (child)."""

import re
from collections.abc import Callable, Iterator

Read = Callable[[int, int], bytes]

MOST_BOXES = 100_000
SEGMENT = b"\x18\x53\x80\x67"
RIFF_UNKNOWN = (0, 0xFFFFFFFF)
TS_BYTES = 188
MPEG_PACKET, MPEG_PACKET_BYTES = re.compile(rb"\x00\x00\x01[\xbd\xc0-\xef]"), 65_541
OGG_PAGE_BYTES, OGG_HEADER_BYTES = 65_307, 27


def is_joined(read: Read, size: int) -> bool:
    """Say whether a further file follows that readers of the first one do not come to."""
    begin = read(0, 12)
    if begin[4:8] == b"ftyp":
        return sum(kind == b"moov" for kind, _ in _boxes(read, size)) > 1
    if begin[8:] == b"WAVE":
        end = 8 + int.from_bytes(begin[4:8], "little")
        return read(end, 4) == b"RIFF" or read(end + 1, 4) == b"RIFF"
    return False


def is_cut_off(read: Read, size: int) -> bool:
    """Say whether bytes are missing at the end; `read` takes a place and a count.

    False also where nothing declares how long the file is, as in live recordings.
    """
    begin = read(0, 12)
    if begin[4:8] == b"ftyp":
        return max((end for _, end in _boxes(read, size)), default=0) > size
    if begin.startswith(b"\x1aE\xdf\xa3"):
        return _end_of_segment(read) > size
    if begin.startswith(b"RIFF"):
        return _end_of_riff(read, size) > size
    if begin.startswith(b"OggS"):
        return _end_of_pages(read, size) > size
    if begin.startswith(b"\0\0\1\xba"):
        return _end_of_packets(read, size) > size
    # MPEG of broadcasting is made of packets of one length.
    return begin[:1] == b"\x47" and read(TS_BYTES, 1) == b"\x47" and size % TS_BYTES != 0


def _boxes(read: Read, size: int) -> Iterator[tuple[bytes, int]]:
    """Yield kind and end of the boxes of MP4 and QuickTime; a length of 0 means the rest."""
    at = 0
    for _ in range(MOST_BOXES):
        head = read(at, 16)
        if at >= size or len(head) < 8 or not head[4:8].isalnum():
            return
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        at = at + length if length >= 8 else size
        yield head[4:8], at


def _end_of_segment(read: Read) -> int:
    """Where the first segment of Matroska ends; 0 for one of unknown length."""
    head = read(0, 256)
    length, used = _number(head[4:])
    at = 4 + used + length
    if head[at : at + 4] != SEGMENT:
        return 0
    length, used = _number(head[at + 4 :])
    unknown = length == (1 << 7 * used) - 1
    return 0 if unknown else at + 4 + used + length


def _number(data: bytes) -> tuple[int, int]:
    """Read a number of variable length: its value, and its bytes."""
    used = 9 - data[0].bit_length() if data and data[0] else 1
    return int.from_bytes(data[:used], "big") & ((1 << 7 * used) - 1), used


def _end_of_riff(read: Read, size: int) -> int:
    """Walk the chunks of AVI, of which long files have several, or take that of WAVE."""
    at = 0
    for _ in range(MOST_BOXES):
        head = read(at, 8)
        length = int.from_bytes(head[4:8], "little")
        if head[:4] != b"RIFF" or length in RIFF_UNKNOWN or at + 8 + length > size:
            return at + 8 + length if head[:4] == b"RIFF" and length not in RIFF_UNKNOWN else at
        at += 8 + length + length % 2
    return min(at, size)


def _end_of_pages(read: Read, size: int) -> int:
    """Where the last page of Ogg ends."""
    begin = max(0, size - OGG_PAGE_BYTES)
    tail = read(begin, OGG_PAGE_BYTES)
    page = tail[max(0, tail.rfind(b"OggS")) :]
    lengths = page[OGG_HEADER_BYTES:][: page[26]] if len(page) > 26 else b""
    if len(page) <= 26 or len(lengths) < page[26]:
        return size + 1
    return size - len(page) + OGG_HEADER_BYTES + len(lengths) + sum(lengths)


def _end_of_packets(read: Read, size: int) -> int:
    """Where the last packet of an MPEG program of pictures and sound ends."""
    begin = max(0, size - 2 * MPEG_PACKET_BYTES)
    tail = read(begin, 2 * MPEG_PACKET_BYTES)
    last = max((found.start() for found in MPEG_PACKET.finditer(tail)), default=None)
    if last is None:
        return 0
    return begin + last + 6 + int.from_bytes(tail[last + 4 : last + 6], "big")
