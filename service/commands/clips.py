"""A clip's file, a pipe or a camera into pictures at their own times, one chunk in memory."""

import io
import math
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from PIL import Image

from service.commands.batch.sources import STDIN, Source
from service.errors import Problem, ServiceError
from service.media.clips.contents import ClipInfo, Picture, Sampling
from service.media.clips.limits import ClipLimits
from service.media.clips.process import open_clip

# A file of one's own may be long; it still cannot fill the memory.
LIMITS = ClipLimits(
    duration_s=24 * 3600.0,
    pixels=8192 * 4320,
    frames=10_000_000,
    memory_bytes=3 * 2**30,
    cpu_s=1_000_000,
    stall_s=120.0,
)
EVERY_FRAME_HZ = math.inf
MOST_SIDE = 3840  # larger pictures are shrunk to this
JPEG_QUALITY = 92


@dataclass(frozen=True)
class Shot:
    """One picture of a clip: its number in the file from 0, its time in seconds, itself."""

    number: int
    time_s: float
    picture: Picture


@dataclass(frozen=True)
class Film:
    """What is looked at: how many frames there are to be, if known, and the frames."""

    info: ClipInfo | None
    shots: AsyncIterator[Shot]

    @property
    def expected(self) -> int | None:
        """How many frames the clip declares."""
        return None if self.info is None else self.info.expected_frames


@asynccontextmanager
async def open_film(file: BinaryIO) -> AsyncIterator[Film]:
    """Every picture of the clip in an open file; raises ServiceError."""
    async with open_clip(file, LIMITS, Sampling(EVERY_FRAME_HZ, MOST_SIDE)) as clip:
        if clip.info.width is None:
            raise ServiceError(Problem.EMPTY_CLIP, "it holds sound alone, no pictures")

        async def shots() -> AsyncIterator[Shot]:
            async for chunk in clip:
                for frame in chunk.frames:
                    if frame.picture is not None and frame.number is not None:
                        yield Shot(frame.number, frame.time_s, frame.picture)

        yield Film(clip.info, shots())


@asynccontextmanager
async def film_of(source: Source) -> AsyncIterator[Film]:
    """Every picture of a clip on this machine; raises ServiceError, OSError."""
    with open_file(source) as file:
        async with open_film(file) as film:
            yield film


@contextmanager
def open_file(source: Source) -> Iterator[BinaryIO]:
    """A file that can be read from any place; stdin becomes one without a name."""
    if source.path != STDIN:
        with open(source.path, "rb") as file:
            yield file
        return
    with tempfile.TemporaryFile() as spooled:
        shutil.copyfileobj(sys.stdin.buffer, spooled)
        spooled.flush()
        spooled.seek(0)
        yield spooled


def encode_whole(picture: Picture) -> bytes:
    """A picture as BMP, which loses nothing and takes no time."""
    return _encode(_image(picture), "BMP")


def encode_small(picture: Picture, max_side: int) -> tuple[bytes, float]:
    """A picture as JPEG with no side over `max_side` pixels, and the factor to its size."""
    image = _image(picture)
    factor = min(1.0, max_side / max(image.size))
    if factor < 1:
        image = image.resize((round(image.width * factor), round(image.height * factor)))
    return _encode(image, "JPEG", quality=JPEG_QUALITY), factor


def _image(picture: Picture) -> Image.Image:
    return Image.frombytes("RGB", (picture.width, picture.height), picture.rgb)


def _encode(image: Image.Image, kind: str, **how: int) -> bytes:
    data = io.BytesIO()
    image.save(data, kind, **how)
    return data.getvalue()
