"""The child process that reads a clip, seen from the service."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO, Self

from service.errors import Problem, ServiceError
from service.media.clips.contents import Sampling
from service.media.clips.limits import ClipLimits
from service.media.clips.messages import LENGTH_BYTES, Message, build, unpack

ROOT = Path(__file__).resolve().parents[3]
CHILD = "service.media.clips.child"
# Nothing of the service's environment, which may hold secrets; few arenas of memory.
ENVIRONMENT = {
    "PYTHONPATH": str(ROOT),
    "PYTHONDONTWRITEBYTECODE": "1",
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_TRIM_THRESHOLD_": str(64 * 2**20),
}
PIPE_BYTES = 2**20
MOST_BYTES = 256 * 2**20


class ClipProcess:
    """One child: its messages, each within the limits' time, and its end."""

    def __init__(self, process: Process, limits: ClipLimits) -> None:
        self._process, self._limits = process, limits

    @classmethod
    async def start(cls, file: BinaryIO, limits: ClipLimits, sampling: Sampling) -> Self:
        """Start the reader of an open file, which it reads from its beginning."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-s", "-m", CHILD, str(os.getpid())),
            *(json.dumps(asdict(part)) for part in (limits, sampling)),
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
        """The next message; raises ServiceError for the child's errors, its death and silence."""
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
            raise message
        return message

    async def stop(self) -> None:
        """End the child, however it is, and wait until it is gone."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    async def _read(self) -> Message:
        length = int.from_bytes(await self._bytes(LENGTH_BYTES), "little")
        kind, body, sizes = unpack(await self._bytes(length))
        return build(kind, body, [await self._bytes(size) for size in sizes])

    async def _bytes(self, count: int) -> bytes:
        stdout = self._process.stdout
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
