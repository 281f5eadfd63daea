"""Pictures that declare a size and hold next to nothing, written byte by byte."""

import struct
import zlib


def chunk(content: bytes) -> bytes:
    """Return a PNG chunk of a type and data, with its length and check sum."""
    length, check = struct.pack(">I", len(content) - 4), struct.pack(">I", zlib.crc32(content))
    return length + content + check


def png_header(width: int, height: int, frames: int = 1) -> bytes:
    """Return a PNG that declares its size and frames and holds no pixels to speak of."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    animation = b"acTL" + struct.pack(">II", frames, 0)
    pixels = b"IDAT" + zlib.compress(b"\0")
    return b"\x89PNG\r\n\x1a\n" + chunk(head) + chunk(animation) + chunk(pixels)


def gif_header(width: int, height: int, frames: int = 1) -> bytes:
    """Return a GIF of frames that hold a single pixel each."""
    head = b"GIF89a" + struct.pack("<HH", width, height) + b"\x80\0\0" + bytes(6)
    frame = b"," + struct.pack("<HHHH", 0, 0, 1, 1) + b"\0" + b"\x02\x02\x44\x01\0"
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
