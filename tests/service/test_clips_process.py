"""The process behind a clip: bounded, never far ahead, and gone whenever it should be."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from service.errors import Problem, ServiceError
from service.media.clips.contents import ClipChunk, ClipLimits, Sampling
from service.media.clips.process import Clip, open_clip, spool
from tests.service.clip_files import write_clip, write_repeated
from tests.service.clip_reading import LIMITS
from tests.waiting import until, wait_until

ROOT = Path(__file__).parents[2]
# Enough pictures that the pipe and the chunk in hand are full long before the end.
LONG, LARGE = 150, (256, 192)


def is_there(pid: int) -> bool:
    """Whether the process lives; one that is dead but not yet fetched does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2]
    except FileNotFoundError:
        return False
    return state.split()[0] != "Z"


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    return write_clip(path, frames=LONG, size=LARGE, sound_s=6.0)


async def failure(clip: Clip) -> ServiceError:
    """What ends the reading of a clip."""
    with pytest.raises(ServiceError) as caught:
        [chunk async for chunk in clip]
    return caught.value


async def opening_failure(path: Path, limits: ClipLimits) -> ServiceError:
    """What ends the reading of a file, from its opening on."""

    async def read() -> None:
        with path.open("rb") as file:
            async with open_clip(file, limits, Sampling()) as clip:
                [chunk async for chunk in clip]

    with pytest.raises(ServiceError) as caught:
        await read()
    return caught.value


async def test_leaving_early_ends_the_process(long_clip: Path) -> None:
    with long_clip.open("rb") as file:
        async with open_clip(file, LIMITS, Sampling()) as clip:
            assert (await anext(aiter(clip))).frames
            assert is_there(clip.pid)
    assert not is_there(clip.pid)


async def test_a_cancelled_reader_ends_the_process(long_clip: Path) -> None:
    pids: list[int] = []

    async def hold() -> None:
        with long_clip.open("rb") as file:
            async with open_clip(file, LIMITS, Sampling()) as clip:
                pids.append(clip.pid)
                await asyncio.Event().wait()

    task = asyncio.create_task(hold())
    await until(lambda: pids)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not is_there(pids[0])


async def test_cancelling_while_it_starts_ends_the_process(long_clip: Path) -> None:
    before = set(children())
    with long_clip.open("rb") as file, pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02), open_clip(file, LIMITS, Sampling()):
            await asyncio.Event().wait()
    await until(lambda: set(children()) <= before)


def children() -> list[int]:
    """This process's children that live."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = entry.read_text(encoding="utf-8").rpartition(")")[2].split()
            if int(fields[1]) == os.getpid() and fields[0] != "Z":
                found.append(int(entry.parent.name))
    return found


async def test_the_process_waits_until_its_chunks_are_taken(long_clip: Path) -> None:
    with long_clip.open("rb") as file:
        async with open_clip(file, LIMITS, Sampling()) as clip:
            await until(lambda: cpu_ticks(clip.pid) == settled(clip.pid))
            assert is_there(clip.pid)
            chunks = [chunk async for chunk in clip]
    assert sum(len(chunk.frames) for chunk in chunks) == LONG


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def settled(pid: int) -> int:
    """Processor time after a while: the same as before for one that waits."""
    time.sleep(0.3)
    return cpu_ticks(pid)


async def test_a_process_that_hangs_is_given_up_and_ended(long_clip: Path) -> None:
    with long_clip.open("rb") as file:
        async with open_clip(file, replace(LIMITS, stall_s=3.0), Sampling()) as clip:
            os.kill(clip.pid, signal.SIGSTOP)
            error = await failure(clip)
    assert error.problem is Problem.CLIP_TOO_COSTLY
    assert "nothing for 3 s" in error.detail
    assert not is_there(clip.pid)


async def test_a_process_that_dies_is_an_error_and_no_hang(long_clip: Path) -> None:
    with long_clip.open("rb") as file:
        async with open_clip(file, LIMITS, Sampling()) as clip:
            os.kill(clip.pid, signal.SIGKILL)
            error = await failure(clip)
    assert error.problem is Problem.INVALID_CLIP
    assert not is_there(clip.pid)


async def test_memory_beyond_the_limit_is_a_named_error(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", frames=2, size=(3200, 2000), sound_s=None)
    error = await opening_failure(path, replace(LIMITS, memory_bytes=32 * 2**20))
    assert error.problem is Problem.CLIP_TOO_COSTLY
    assert "32 MiB" in error.detail


@pytest.mark.slow
async def test_processor_time_beyond_the_limit_is_a_named_error(tmp_path: Path) -> None:
    path = write_repeated(tmp_path / "clip.avi", frames=400, size=(1920, 1080))
    error = await opening_failure(path, replace(LIMITS, cpu_s=1))
    assert error.problem is Problem.CLIP_TOO_COSTLY
    assert "1 s of processor time" in error.detail


PARENT = """
import asyncio, sys
from service.media.clips.contents import Sampling
from service.media.clips.contents import ClipLimits
from service.media.clips.process import open_clip

async def main():
    with open(sys.argv[1], "rb") as file:
        async with open_clip(file, ClipLimits(), Sampling()) as clip:
            print(clip.pid, flush=True)
            await asyncio.Event().wait()

asyncio.run(main())
"""


def test_the_process_dies_with_a_service_that_is_killed(long_clip: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(long_clip)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_there(pid)
        parent.kill()
    wait_until(lambda: not is_there(pid))


async def test_the_process_knows_nothing_of_the_services_environment(
    long_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_SERVICE", "hush")
    with long_clip.open("rb") as file:
        async with open_clip(file, LIMITS, Sampling()) as clip:
            environment = Path(f"/proc/{clip.pid}/environ").read_bytes()
            open_files = [link.readlink() for link in Path(f"/proc/{clip.pid}/fd").iterdir()]
    assert b"SECRET" not in environment
    assert b"PYTHONPATH" in environment
    assert len(open_files) == 3


async def test_two_clips_at_once_do_not_meet(long_clip: Path, tmp_path: Path) -> None:
    short = write_clip(tmp_path / "clip.webm", frames=30, sound_s=None)

    async def count(path: Path) -> int:
        with path.open("rb") as file:
            async with open_clip(file, LIMITS, Sampling()) as clip:
                return sum([len(chunk.frames) async for chunk in clip])

    assert await asyncio.gather(count(long_clip), count(short)) == [LONG, 30]


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(data), 1000):
        yield data[at : at + 1000]


async def test_an_upload_is_read_from_a_file_without_a_name(
    long_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    chunks: list[ClipChunk] = []
    async with spool(pieces(long_clip.read_bytes())) as file:
        assert not list(tmp_path.iterdir())
        assert os.fstat(file.fileno()).st_mode & 0o077 == 0
        async with open_clip(file, LIMITS, Sampling()) as clip:
            chunks = [chunk async for chunk in clip]
    assert file.closed
    assert sum(len(chunk.frames) for chunk in chunks) == LONG


async def test_an_upload_that_breaks_off_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    async def broken() -> AsyncIterator[bytes]:
        yield bytes(2 * 2**20)
        raise ServiceError(Problem.BODY_TOO_LARGE, "enough")

    with pytest.raises(ServiceError, match="enough"):
        async with spool(broken()):
            pass
    assert not list(tmp_path.iterdir())
