"""Pictures made on the spot: what Pillow reads but does not write, and sizes that are lies."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image as Pillow
from pillow_heif import from_pillow

# Smooth, and different in every corner and colour: a turned or swapped picture shows.
SCENE = np.stack(
    np.broadcast_arrays(
        np.linspace(0, 255, 24)[:, None], np.linspace(255, 40, 32)[None], np.full((24, 32), 60)
    ),
    axis=2,
).astype(np.uint8)


def encoded(picture: Pillow.Image | np.ndarray, format: str, **options: Any) -> bytes:
    """Return a picture's bytes as Pillow writes them, HEIF as its plug-in does."""
    if isinstance(picture, np.ndarray):
        picture = Pillow.fromarray(picture)
    buffer = io.BytesIO()
    if format == "HEIF":
        pictures = from_pillow(picture)
        for more in options.pop("append_images", ()):
            pictures.add_from_pillow(more)
        pictures.save(buffer, **options)
    else:
        picture.save(buffer, format, **options)
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    """Return a PNG chunk with its length and check sum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int, color: int, rows: bytes = b"", *more: bytes) -> bytes:
    """Return a PNG of any kind, with `more` chunks before its pixels."""
    head = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    parts = [chunk(b"IHDR", head), *more, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def png_header(width: int, height: int, frames: int = 1) -> bytes:
    """Return a PNG that declares its size and frames and holds no pixels to speak of."""
    return png(width, height, 8, 2, b"\0", chunk(b"acTL", struct.pack(">II", frames, 0)))


def gif_header(
    width: int, height: int, frames: int = 1, frame_size: tuple[int, int] = (1, 1)
) -> bytes:
    """Return a GIF of frames that hold a single pixel each, whatever size they declare."""
    head = b"GIF89a" + struct.pack("<HH", width, height) + b"\x80\0\0" + bytes(6)
    frame = b"," + struct.pack("<HHHH", 0, 0, *frame_size) + b"\0" + b"\x02\x02\x44\x01\0"
    return head + frame * frames + b";"


def webp_header(width: int, height: int) -> bytes:
    """Return an extended WebP that declares its canvas and holds nothing."""
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    chunk = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + size
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


def bmp_header(width: int, height: int) -> bytes:
    """Return the two headers of a BMP."""
    dib = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + dib


def jpeg_header(width: int, height: int) -> bytes:
    """Return a JPEG of a small picture that declares another size."""
    data = bytearray(encoded(SCENE, "JPEG"))
    place = data.index(b"\xff\xc0")
    data[place + 5 : place + 9] = struct.pack(">HH", height, width)
    return bytes(data)
