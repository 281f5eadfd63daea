"""A clip's file -> its chunks, by a child process, as a stream that holds one chunk at a time."""

import asyncio
import errno
import json
import logging
import os
import signal
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterable, AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO, Self, TypeVar

import msgpack
from pydantic import TypeAdapter

from service.errors import BY_SLUG, Problem, ServiceError
from service.media.clips.child import LENGTH_BYTES, PIPE_BYTES, Message
from service.media.clips.contents import (
    ClipChunk,
    ClipFrame,
    ClipInfo,
    ClipLimits,
    ClipTotals,
    Picture,
    Sampling,
    Sound,
)
from service.settings import Settings

logger = logging.getLogger(__name__)
ROOT = Path(__file__).resolve().parents[3]
CHILD = "service.media.clips.child"
# Nothing of the service's environment, which may hold secrets; few arenas of memory.
ENVIRONMENT = {
    "PYTHONPATH": str(ROOT),
    "PYTHONDONTWRITEBYTECODE": "1",
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_TRIM_THRESHOLD_": str(64 * 2**20),
}
# Of a message: eight pictures of 3840 x 2160 pixels fit.
MOST_BYTES = 256 * 2**20
# At once: each writing costs a thread's turn.
WRITE_BYTES = 2**20
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
Item = TypeVar("Item")
READERS: Mapping[str, TypeAdapter[Any]] = {
    kind.__name__: TypeAdapter(kind) for kind in (ClipInfo, ClipTotals)
}


def build(kind: str, body: dict[str, Any], pictures: list[bytes]) -> Message:
    """Make a message of its kind, its body and the pictures behind it; `child.pack` wrote them."""
    if kind == ClipChunk.__name__:
        return _chunk(body, iter(pictures))
    if kind == ServiceError.__name__:
        return _error(body)
    message: Message = READERS[kind].validate_python(body)
    return message


def _error(body: Mapping[str, Any]) -> ServiceError:
    error = ServiceError(BY_SLUG.get(body["problem"], Problem.INTERNAL), body["detail"])
    for note in body["notes"]:
        error.add_note(note)
    return error


def _chunk(body: Mapping[str, Any], pictures: Iterator[bytes]) -> ClipChunk:
    frames = []
    for time_s, number, shape in zip(body["times_s"], body["numbers"], body["shapes"], strict=True):
        picture = None
        if shape:
            width, height, scale = shape
            picture = Picture(width, height, next(pictures), scale)
        frames.append(ClipFrame(time_s, picture, number))
    return ClipChunk(tuple(frames), Sound(*body["sound"]) if body["sound"] else None)


class ClipProcess:
    """One child: its messages, each within the limits' time, and its end."""

    def __init__(self, process: Process, limits: ClipLimits) -> None:
        self._process, self._limits = process, limits

    @classmethod
    async def start(cls, file: BinaryIO, limits: ClipLimits, sampling: Sampling) -> Self:
        """Start the reader of an open file, which it reads from its beginning."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            # `-s`: no packages of the user's folder.
            *("-s", "-m", CHILD, str(os.getpid())),
            *(json.dumps(asdict(part)) for part in (limits, sampling)),
            # As the child's stdin: it needs no path, and may open none.
            stdin=file,
            stdout=PIPE,
            stderr=DEVNULL,
            env=ENVIRONMENT,
            limit=PIPE_BYTES,
        )
        return cls(process, limits)

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    async def receive(self) -> Message:
        """Read the next message; raises ServiceError for the child's errors, death, silence."""
        try:
            async with asyncio.timeout(self._limits.stall_s):
                message = await self._read()
        except TimeoutError:
            raise ServiceError(
                Problem.CLIP_TOO_COSTLY,
                f"reading it gave nothing for {self._limits.stall_s:g} s",
            ) from None
        except asyncio.IncompleteReadError:
            raise self._why_ended(await self._process.wait()) from None
        if isinstance(message, ServiceError):
            # Tracebacks are for the log: they may name files of this machine.
            for note in getattr(message, "__notes__", ()):
                logger.warning("a clip's reader failed: %s", note)
            raise message
        return message

    async def stop(self) -> None:
        """End the child, however it is, and wait until it is gone."""
        if self._process.returncode is None:
            self._process.kill()
        # What is left in its pipe is read, too: asyncio waits for the pipe's end.
        await self._process.communicate()

    async def _read(self) -> Message:
        length = int.from_bytes(await self._bytes(LENGTH_BYTES), "little")
        kind, body, sizes = msgpack.unpackb(await self._bytes(length))
        return build(kind, body, [await self._bytes(size) for size in sizes])

    async def _bytes(self, count: int) -> bytes:
        stdout = self._process.stdout
        # A child that was taken over by its clip could announce any length.
        if stdout is None or count > MOST_BYTES:
            raise ServiceError(Problem.INTERNAL, "the clip's reader failed")
        return await stdout.readexactly(count)

    def _why_ended(self, code: int) -> ServiceError:
        if code == -signal.SIGXCPU:
            return ServiceError(
                Problem.CLIP_TOO_COSTLY,
                f"reading it takes more than {self._limits.cpu_s} s of processor time",
            )
        error = ServiceError(Problem.INVALID_CLIP, "its reader ended before the clip did")
        error.add_note(f"the reader ended with {code}")
        return error


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
    """Return the limits of a clip."""
    return ClipLimits(
        duration_s=settings.max_clip_s,
        pixels=settings.max_clip_pixels,
        frames=settings.max_clip_frames,
        memory_bytes=settings.clip_memory_bytes,
        cpu_s=settings.clip_cpu_s,
        stall_s=settings.clip_stall_s,
    )


@asynccontextmanager
async def spool(chunks: AsyncIterable[bytes]) -> AsyncIterator[BinaryIO]:
    """Write the chunks to a temporary file that only this process and its children can reach.

    Bounds of size and time are those of `chunks`, whose errors pass through.
    """
    with tempfile.TemporaryFile() as file:
        waiting = bytearray()
        async for chunk in chunks:
            waiting += chunk
            if len(waiting) >= WRITE_BYTES:
                await asyncio.to_thread(file.write, bytes(waiting))
                waiting.clear()
        await asyncio.to_thread(file.write, bytes(waiting))
        file.flush()
        yield file


@asynccontextmanager
async def room_for(reading: AbstractAsyncContextManager[Item]) -> AsyncIterator[Item]:
    """Read into files; raises ServiceError where the disk has no room for them."""
    async with AsyncExitStack() as stack:
        try:
            read = await stack.enter_async_context(reading)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            raise ServiceError(
                Problem.OVERLOADED,
                "there is no room for the clip just now",
                headers={"Retry-After": "10", "Connection": "close"},
            ) from error
        yield read
