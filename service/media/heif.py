"""HEIC and AVIF walked from box to box: what they are, and the largest size that they declare."""

from collections.abc import Iterator

HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
AVIF_BRANDS = (b"avif", b"avis")
MOST_BOXES = 10_000
MOST_BRAND_BYTES = 64
# Boxes that hold boxes, and how many bytes of their own come first.
OUTER = {b"meta": 4, b"iprp": 0, b"ipco": 0}


class BoxError(ValueError):
    """Boxes that do not fit one another, or declare no size."""


def name_heif(data: bytes) -> str | None:
    """Tell HEIC and AVIF by their brands, of which AVIF has both."""
    if data[4:8] != b"ftyp":
        return None
    end = min(MOST_BRAND_BYTES, int.from_bytes(data[:4], "big"))
    brands = {data[8:12], *(data[at : at + 4] for at in range(16, end, 4))}
    if brands.intersection(AVIF_BRANDS):
        return "AVIF"
    return "HEIC" if brands.intersection(HEIC_BRANDS) else None


def largest_size(data: bytes) -> tuple[int, int]:
    """Return width and height of the largest picture that is declared, turned or not.

    Pictures of phones are put together of tiles, of which the whole is declared, too. Raises
    BoxError.
    """
    sizes = [
        (_number(data, at + 4), _number(data, at + 8))
        for kind, at, end in _boxes(data)
        if kind == b"ispe" and end - at >= 12
    ]
    found = max(sizes, key=lambda size: size[0] * size[1], default=(0, 0))
    if not all(found):
        raise BoxError("no size is declared")
    return found


def _number(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "big")


def _boxes(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, beginning of the contents and end of every box, outer ones before their parts."""
    open_ranges, count = [(0, len(data))], 0
    while open_ranges:
        at, end = open_ranges.pop()
        while at + 8 <= end:
            count += 1
            if count > MOST_BOXES:
                raise BoxError(f"more than {MOST_BOXES} boxes")
            length, kind, begin = _number(data, at), data[at + 4 : at + 8], 8
            if length == 1:
                length, begin = int.from_bytes(data[at + 8 : at + 16], "big"), 16
            after = at + length if length else end
            if after < at + begin or after > len(data):
                break
            yield kind, at + begin, after
            if kind in OUTER:
                open_ranges.append((at + begin + OUTER[kind], after))
            at = after
