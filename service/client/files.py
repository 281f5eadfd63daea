"""What callers hand over, encoded pictures, arrays, paths and open files, as it is sent."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import BinaryIO, Protocol

from PIL import Image


class Array(Protocol):
    """A picture in memory: uint8 RGB `(H, W, 3)`, such as a NumPy array, or one of Pillow."""

    @property
    def __array_interface__(self) -> dict[str, object]: ...


Picture = bytes | str | PathLike[str] | Array
ClipFile = BinaryIO | bytes | str | PathLike[str]


def encoded(picture: Picture) -> bytes:
    """A picture as the bytes of an image file; raises OSError for a path that cannot be read."""
    if isinstance(picture, bytes):
        return picture
    if isinstance(picture, str | PathLike):
        return Path(picture).read_bytes()
    data = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(data, "PNG", compress_level=1)
    return data.getvalue()


@contextmanager
def opened(clip: ClipFile) -> Iterator[BinaryIO]:
    """A clip as an open file; raises OSError for a path that cannot be read."""
    if isinstance(clip, bytes):
        yield io.BytesIO(clip)
    elif isinstance(clip, str | PathLike):
        with open(clip, "rb") as file:
            yield file
    else:
        yield clip
