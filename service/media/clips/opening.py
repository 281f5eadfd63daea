"""A clip's file -> its chunks, as an asynchronous stream that holds one chunk at a time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import BinaryIO

from service.errors import Problem, ServiceError
from service.media.clips.contents import ClipChunk, ClipInfo, ClipTotals, Sampling
from service.media.clips.limits import ClipLimits
from service.media.clips.process import ClipProcess
from service.settings import Settings


class Clip:
    """An open clip: `info` at once, its chunks once, in order, and `totals` after the last.

    Iterating raises ServiceError where the clip turns out too long, too costly or unreadable.
    """

    def __init__(self, process: ClipProcess, info: ClipInfo) -> None:
        self.info = info
        self.totals: ClipTotals | None = None
        self.pid = process.pid
        self._process = process

    async def __aiter__(self) -> AsyncIterator[ClipChunk]:
        while isinstance(message := await self._process.receive(), ClipChunk):
            yield message
        if not isinstance(message, ClipTotals):
            raise ServiceError(Problem.INTERNAL, "the clip's reader failed")
        self.totals = message


@asynccontextmanager
async def open_clip(file: BinaryIO, limits: ClipLimits, sampling: Sampling) -> AsyncIterator[Clip]:
    """Read the clip in an open file by a process of its own, which ends with the context.

    The process works at most two chunks ahead: one on its way, one it waits with. Raises
    ServiceError: empty-body, not-a-clip, unsupported-clip, invalid-clip, empty-clip,
    clip-too-long, clip-too-costly, too-many-pixels, too-many-streams.
    """
    process = await ClipProcess.start(file, limits, sampling)
    try:
        info = await process.receive()
        if not isinstance(info, ClipInfo):
            raise ServiceError(Problem.INTERNAL, "the clip's reader failed")
        yield Clip(process, info)
    finally:
        await process.stop()


def clip_limits(settings: Settings) -> ClipLimits:
    """What the settings allow a clip."""
    return ClipLimits(
        duration_s=settings.max_clip_s,
        pixels=settings.max_clip_pixels,
        frames=settings.max_clip_frames,
        memory_bytes=settings.clip_memory_bytes,
        cpu_s=settings.clip_cpu_s,
        stall_s=settings.clip_stall_s,
    )
