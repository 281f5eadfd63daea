"""First bytes into the name of what they begin, for pictures and for what is taken for one."""

from service.media.heif import name_heif

SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"GIF87a", "GIF"),
    (0, b"GIF89a", "GIF"),
    (8, b"WEBP", "WEBP"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
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
    (0, b"FLV\x01", "Flash video"),
    (0, b"\x30\x26\xb2\x75", "Windows Media video"),
    (0, b"\0\0\x01\xba", "MPEG video"),
    (0, b"\0\0\x01\xb3", "MPEG video"),
    (0, b"\x7fELF", "ELF program"),
    (0, b"MZ", "Windows program"),
)
BMP_HEADER_SIZES = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
READ_HERE = ("JPEG", "PNG", "WEBP", "HEIC", "AVIF", "BMP", "GIF")
OTHER_PICTURES = frozenset({"TIFF", "ICO", "JPEG 2000", "JPEG XL", "Photoshop", "SVG"})
PICTURES = frozenset(READ_HERE) | OTHER_PICTURES
SHOWN_BYTES = 16
SHOWN_CHARACTERS = 24


def name_format(data: bytes) -> str | None:
    """Name the format that `data` begins, such as `JPEG` or `PDF`; None where it is unknown."""
    for offset, signature, name in SIGNATURES:
        if data.startswith(signature, offset):
            return name
    if data[4:8] == b"ftyp":
        return name_heif(data) or "MP4 or QuickTime video"
    if data.startswith(b"BM") and int.from_bytes(data[14:18], "little") in BMP_HEADER_SIZES:
        return "BMP"
    if b"<svg" in data[:512].lower():
        return "SVG"
    return None


def describe_bytes(data: bytes) -> str:
    """Say for people what `data` begins with, where it is no known format."""
    try:
        text = data[:SHOWN_CHARACTERS].decode("ascii")
    except UnicodeDecodeError:
        text = ""
    if text and all(character.isprintable() or character.isspace() for character in text):
        return f"text that begins {text!r}"
    return f"bytes that begin {data[:SHOWN_BYTES].hex(' ')}"
