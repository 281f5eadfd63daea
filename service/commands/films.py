"""The pictures of a clip on this machine, one after the other, as the service reads them too."""

import asyncio
import math
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import BinaryIO

from service.commands.batch.sources import STDIN, Source
from service.media.clips.contents import ClipFrame, Sampling
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
EVERY_FRAME = Sampling(math.inf, 3840)


@contextmanager
def open_file(source: Source) -> Iterator[BinaryIO]:
    """Open a source so that it can be read from any place; stdin becomes a file without a name."""
    if source.path != STDIN:
        with open(source.path, "rb") as file:
            yield file
        return
    with tempfile.TemporaryFile() as spooled:
        shutil.copyfileobj(sys.stdin.buffer, spooled)
        spooled.flush()
        spooled.seek(0)
        yield spooled


class Film:
    """The frames of a clip, each asked for by its number in the file, in rising order."""

    def __init__(self, file: BinaryIO, sampling: Sampling) -> None:
        self._file, self._sampling = file, sampling
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self._frames: AsyncIterator[ClipFrame] | None = None

    def close(self) -> None:
        """Stop reading."""
        self._runner.run(self._stack.aclose())
        self._runner.close()

    def frames(self, before: int | None = None) -> Iterator[ClipFrame]:
        """Yield the frames up to number `before`, from 1, or all that are left."""
        while (frame := self._next()) is not None:
            yield frame
            if before is not None and frame.number is not None and frame.number + 1 >= before:
                return

    def _next(self) -> ClipFrame | None:
        return self._runner.run(self._read())

    async def _read(self) -> ClipFrame | None:
        if self._frames is None:
            self._frames = self._open()
        return await anext(self._frames, None)

    async def _open(self) -> AsyncIterator[ClipFrame]:
        clip = await self._stack.enter_async_context(open_clip(self._file, LIMITS, self._sampling))
        async for chunk in clip:
            for frame in chunk.frames:
                yield frame
