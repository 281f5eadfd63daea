"""Names of formats by their first bytes; HEIC and AVIF walked from box to box."""

from collections.abc import Iterator
from typing import Literal

from service.media.av1 import coded_sizes

HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
AVIF_BRANDS = (b"avif", b"avis")
MOST_BOXES = 10_000
MOST_BRAND_BYTES = 64
# Boxes that hold boxes, and how many bytes of their own come first.
OUTER = {b"meta": 4, b"iprp": 0, b"ipco": 0}
TRACK = dict.fromkeys((b"moov", b"trak", b"mdia", b"minf", b"stbl"), 0)
# Coders fill pictures up to whole blocks.
BLOCK_PX = 64
# A picture, its opacity, its light and a small copy; tiles that reach beyond its border.
MOST_TIMES, MOST_BESIDE = 4, 1_000_000
SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"GIF87a", "GIF"),
    (0, b"GIF89a", "GIF"),
    (8, b"WEBP", "WEBP"),
    (8, b"CR\2\0", "a camera's raw picture (CR2)"),
    (4, b"ftypcrx ", "a camera's raw picture (CR3)"),
    (0, b"FUJIFILMCCD-RAW", "a camera's raw picture (RAF)"),
    (0, b"IIRO", "a camera's raw picture (ORF)"),
    (0, b"IIRS", "a camera's raw picture (ORF)"),
    (0, b"IIU\0", "a camera's raw picture (RW2)"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"II+\0", "TIFF"),
    (0, b"MM\0+", "TIFF"),
    (0, b"DDS ", "DDS"),
    (0, b"qoif", "QOI"),
    (0, b"icns", "ICNS"),
    (0, b"v/1\1", "OpenEXR"),
    (0, b"#?RADIANCE", "Radiance HDR"),
    (0, b"P5\n", "PNM"),
    (0, b"P6\n", "PNM"),
    (128, b"DICM", "DICOM"),
    (0, b"%!PS", "PostScript"),
    (0, b"\x89PNG", "PNG that was changed on its way, as by a transfer of text"),
    (0, b"\0\5\x16\7", "what macOS keeps beside a file (AppleDouble), not the file"),
    (0, b"\0\0\x01\0", "ICO"),
    (0, b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\0\0\0\x0cJXL ", "JPEG XL"),
    (0, b"8BPS", "Photoshop"),
    (0, b"%PDF-", "PDF"),
    (0, b"PK\x03\x04", "ZIP archive"),
    (0, b"\x1f\x8b", "gzip archive"),
    (0, b"\x1aE\xdf\xa3", "Matroska or WebM video"),
    (8, b"AVI ", "AVI video"),
    (8, b"WAVE", "WAVE sound"),
    (0, b"OggS", "Ogg sound"),
    (0, b"ID3", "MP3 sound"),
    (0, b"\xff\xfb", "MP3 sound"),
    (0, b"\xff\xf3", "MP3 sound"),
    (0, b"\xff\xf1", "AAC sound"),
    (0, b"fLaC", "FLAC sound"),
    (8, b"AIFF", "AIFF sound"),
    (8, b"AIFC", "AIFF sound"),
    (0, b"caff", "CAF sound"),
    (0, b"riff\x2e\x91", "Wave64 sound"),
    (0, b".snd", "AU sound"),
    (0, b"#!AMR", "AMR sound"),
    (0, b"MThd", "MIDI notes"),
    (0, b"YUV4MPEG2", "YUV4MPEG video"),
    (0, b"\6\x0e\x2b\x34", "MXF video"),
    (0, b"FLV\x01", "Flash video"),
    (0, b"\x30\x26\xb2\x75", "Windows Media video"),
    (0, b"\0\0\x01\xba", "MPEG video"),
    (0, b"\0\0\x01\xb3", "MPEG video"),
    (0, b"\x7fELF", "ELF program"),
    (0, b"MZ", "Windows program"),
)
DNG = "a camera's raw picture (DNG)"
BMP_HEADER_SIZES = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
READ_HERE = ("JPEG", "PNG", "WEBP", "HEIC", "AVIF", "BMP", "GIF")
SEND_INSTEAD = f"send {', '.join(READ_HERE[:-1])} or {READ_HERE[-1]}"
RAW = frozenset(name for _, _, name in SIGNATURES if name.startswith("a camera's raw")) | {DNG}
OTHER_PICTURES = RAW | {
    *("TIFF", "ICO", "JPEG 2000", "JPEG XL", "Photoshop", "SVG"),
    *("DDS", "QOI", "ICNS", "OpenEXR", "Radiance HDR", "PNM", "DICOM"),
}
# What text begins with that people send instead of a file.
TEXTS: tuple[tuple[str, str], ...] = (
    ("<!doctype html", "an HTML page, as servers answer where a file is not"),
    ("<html", "an HTML page, as servers answer where a file is not"),
    ("{", "JSON (the file itself is read, as the body or as a field of a form)"),
    ("data:", "a data URL (decode it first)"),
    ("/9j/", "a JPEG as base64 (decode it first)"),
    ("ivborw0kggo", "a PNG as base64 (decode it first)"),
    ("uklgr", "WebP, AVI or WAVE as base64 (decode it first)"),
    ("version https://git-lfs", "Git LFS's pointer to a file, not the file"),
)
FORM = "a form whose header Content-Type does not say so: multipart/form-data; boundary=..."
DNG_VERSION, MOST_TAGS = 0xC612, 200
PICTURES = frozenset(READ_HERE) | OTHER_PICTURES
SNIFFED_BYTES = 512  # are enough to name a format
SHOWN_BYTES = 16
SHOWN_CHARACTERS = 24


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


def check_coded_sizes(data: bytes, declared: tuple[int, int]) -> None:
    """Raise BoxError where an AVIF holds larger pictures than it declares, or very many.

    Decoders decode them whole and scale them to what is declared. Those of HEIC refuse them.
    """
    total = 0
    for stretches in _pictures(data):
        for size in coded_sizes(data, stretches):
            total += size[0] * size[1]
            if any(side > most + BLOCK_PX for side, most in zip(size, declared, strict=True)):
                raise BoxError(
                    f"a picture of {size[0]} x {size[1]} pixels inside, while it declares "
                    f"{declared[0]} x {declared[1]}"
                )
    if total > MOST_TIMES * declared[0] * declared[1] + MOST_BESIDE:
        raise BoxError(f"{total} pixels inside, while it declares {declared[0]} x {declared[1]}")


def _pictures(data: bytes) -> Iterator[list[tuple[int, int]]]:
    """Yield where the bytes of every picture lie, and of the first one of every animation."""
    boxes = list(_boxes(data))
    inside = next((at for kind, at, _ in boxes if kind == b"idat"), 0)
    for kind, at, end in boxes:
        if kind == b"iloc":
            yield from _items(data[at:end], inside, len(data))
    firsts = [
        (_number(data, at + 8, 8 if kind == b"co64" else 4))
        for kind, at, _ in boxes
        if kind in (b"stco", b"co64")
    ]
    sizes = [
        _number(data, at + 4) or _number(data, at + 12) for kind, at, _ in boxes if kind == b"stsz"
    ]
    yield from ([(at, at + size)] for at, size in zip(firsts, sizes, strict=False))


def _items(table: bytes, inside: int, size: int) -> Iterator[list[tuple[int, int]]]:
    """Read where items lie (ISO/IEC 14496-12, 8.11.3); `inside` is where those in the boxes do."""
    version, place = table[0] if table else 0, 6
    sides = [half for byte in table[4:6] for half in (byte >> 4, byte & 15)]
    offset_bytes, length_bytes, base_bytes, index_bytes = (*sides, 0, 0, 0, 0)[:4]

    def take(count: int) -> int:
        nonlocal place
        place += count
        return _number(table, place - count, count)

    wide = 4 if version == 2 else 2
    left = MOST_BOXES
    for _ in range(take(wide)):
        take(wide)
        method = take(2) & 15 if version in (1, 2) else 0
        take(2)
        base = take(base_bytes) + (inside if method == 1 else 0)
        stretches = []
        count = take(2)
        left -= count + 1
        if left < 0 or place > len(table):
            raise BoxError(f"more than {MOST_BOXES} places of pictures, or a broken list of them")
        for _ in range(count):
            take(index_bytes if version in (1, 2) else 0)
            begin, length = base + take(offset_bytes), take(length_bytes)
            stretches.append((begin, begin + length if length else size))
        if method < 2:
            yield stretches


def _number(data: bytes, at: int, count: int = 4) -> int:
    return int.from_bytes(data[at : at + count], "big")


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
            if (own := (OUTER | TRACK).get(kind)) is not None:
                open_ranges.append((at + begin + own, after))
            at = after


def name_format(data: bytes) -> str | None:
    """Name the format that `data` begins, such as `JPEG` or `PDF`; None where it is unknown."""
    for offset, signature, name in SIGNATURES:
        if data.startswith(signature, offset):
            return DNG if name == "TIFF" and _is_dng(data) else name
    if data[4:8] == b"ftyp":
        return name_heif(data) or "MP4 or QuickTime video"
    if data.startswith(b"BM") and int.from_bytes(data[14:18], "little") in BMP_HEADER_SIZES:
        return "BMP"
    if b"<svg" in data[:512].lower():
        return "SVG"
    return None


def _is_dng(data: bytes) -> bool:
    """Tell whether the first directory of a TIFF has the version of DNG."""
    order: Literal["little", "big"] = "little" if data.startswith(b"II") else "big"

    def number(at: int, count: int) -> int:
        return int.from_bytes(data[at : at + count], order)

    at = number(4, 4)
    tags = min(number(at, 2), MOST_TAGS)
    return any(number(at + 2 + 12 * tag, 2) == DNG_VERSION for tag in range(tags))


def describe_bytes(data: bytes) -> str:
    """Say for people what `data` begins with, where it is no known format."""
    # Of what reads clips no further codec of Python can be loaded: utf-8-sig would be one.
    begin = data[:SNIFFED_BYTES].decode("utf-8", "replace").lstrip("\ufeff").lower().lstrip()
    for start, name in TEXTS:
        if begin.startswith(start):
            return name
    if begin.startswith("--") and "content-disposition" in begin:
        return FORM
    try:
        text = data[:SHOWN_CHARACTERS].decode("ascii")
    except UnicodeDecodeError:
        text = ""
    if text and all(character.isprintable() or character.isspace() for character in text):
        return f"text that begins {text!r}"
    return f"bytes that begin {data[:SHOWN_BYTES].hex(' ')}"
