"""A container's name as clients know it."""

import os

from av.container import InputContainer

MATROSKA_HEADER_BYTES = 64
NAMES = {"mpeg": "mpeg", "mpegts": "mpeg", "mpegvideo": "mpeg"}


def name_container(container: InputContainer, descriptor: int) -> str:
    """mp4, mov, m4a, webm, mkv, avi, mpeg, wav, mp3, ogg, flac or aac."""
    name = container.format.name
    begin = os.pread(descriptor, MATROSKA_HEADER_BYTES, 0)
    if name.startswith("mov"):
        brand = begin[8:12] if begin[4:8] == b"ftyp" else b"qt  "
        return {b"qt  ": "mov", b"M4A ": "m4a"}.get(brand, "mp4")
    if name.startswith("matroska"):
        return "webm" if b"webm" in begin else "mkv"
    return NAMES.get(name, name)
