"""A file's outermost boxes: whether its end is missing, and whether that can be known (child)."""

import re
from collections.abc import Callable, Iterator

Read = Callable[[int, int], bytes]

MOST_BOXES = 100_000
SEGMENT = b"\x18\x53\x80\x67"
# Lengths that programs leave which cannot go back to write them.
RIFF_UNKNOWN = (0, 0xFFFFFFFF)
TS_BYTES = 188
# What files of boxes begin with; old QuickTime has no ftyp.
FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
FLAC_COUNTS = 1 << 36  # in so many bits FLAC has its number of samples
# Where the first frame of MP3 says how many there are.
MP3_COUNTS, MP3_HEADER_BYTES = (b"Xing", b"Info", b"VBRI"), 256
MPEG_PACKET, MPEG_PACKET_BYTES = re.compile(rb"\x00\x00\x01[\xbd\xc0-\xef]"), 65_541
# The ends of MPEG programs and of streams of pictures.
MPEG_ENDS = (b"\x00\x00\x01\xb9", b"\x00\x00\x01\xb7")
# The largest page has a head of 27 bytes, 255 lengths, and 255 bytes for each.
OGG_PAGE_BYTES, OGG_HEADER_BYTES, OGG_LAST = 65_307, 27, 4


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
    if begin[4:8] in FIRST_BOXES:
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


def tells_its_end(read: Read, size: int) -> bool:
    """Say whether the file declares where it ends, so that it shows where the end is missing.

    Streams of broadcasting and recordings that were written while they went on do not.
    """
    begin = read(0, 12)
    if begin[4:8] in FIRST_BOXES:
        kinds = {kind for kind, _ in _boxes(read, size)}
        return b"moof" not in kinds or b"mfra" in kinds
    if begin.startswith(b"\x1aE\xdf\xa3"):
        return _end_of_segment(read) > 0
    if begin.startswith(b"RIFF"):
        return int.from_bytes(begin[4:8], "little") not in RIFF_UNKNOWN
    if begin.startswith(b"OggS"):
        return _has_last_page(read, size)
    if begin.startswith(b"fLaC"):
        return int.from_bytes(read(21, 5), "big") % FLAC_COUNTS > 0
    if begin.startswith(b"\0\0\1"):
        return read(size - 4, 4) in MPEG_ENDS
    return begin[:1] != b"\x47" and any(mark in _first_frame(read) for mark in MP3_COUNTS)


def _first_frame(read: Read) -> bytes:
    """Return the beginning of MP3 behind its tag."""
    tag, at = read(0, 10), 0
    if tag.startswith(b"ID3") and len(tag) == 10:
        at = 10 + sum(byte << 7 * (3 - place) for place, byte in enumerate(tag[6:10]))
    return read(at, MP3_HEADER_BYTES)


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
    """Return the end of the first segment of Matroska; 0 for one of unknown length."""
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


def _last_page(read: Read, size: int) -> bytes:
    """Return the last page of Ogg, whole or not."""
    tail = read(max(0, size - OGG_PAGE_BYTES), OGG_PAGE_BYTES)
    return tail[max(0, tail.rfind(b"OggS")) :]


def _has_last_page(read: Read, size: int) -> bool:
    page = _last_page(read, size)
    return len(page) > 5 and bool(page[5] & OGG_LAST)


def _end_of_pages(read: Read, size: int) -> int:
    """Return the end of the last page of Ogg."""
    page = _last_page(read, size)
    lengths = page[OGG_HEADER_BYTES:][: page[26]] if len(page) > 26 else b""
    if len(page) <= 26 or len(lengths) < page[26]:
        return size + 1
    return size - len(page) + OGG_HEADER_BYTES + len(lengths) + sum(lengths)


def _end_of_packets(read: Read, size: int) -> int:
    """Return the end of the last packet of an MPEG program of pictures and sound."""
    begin = max(0, size - 2 * MPEG_PACKET_BYTES)
    tail = read(begin, 2 * MPEG_PACKET_BYTES)
    last = max((found.start() for found in MPEG_PACKET.finditer(tail)), default=None)
    if last is None:
        return 0
    return begin + last + 6 + int.from_bytes(tail[last + 4 : last + 6], "big")
