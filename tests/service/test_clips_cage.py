"""The process that reads a clip can reach nothing but its clip."""

import subprocess
import sys
from pathlib import Path

import pytest

from service.media.clips.contents import Sampling
from service.media.clips.process import open_clip
from tests.needs import SECCOMP
from tests.service.clip_files import write_clip
from tests.service.clip_reading import LIMITS
from tests.sources import ROOT

pytestmark = SECCOMP.mark

TRIES = {
    "a file is opened": "open('/etc/hostname')",
    "a file is written": "open('/tmp/caged', 'w')",
    "a folder is listed": "os.listdir('/')",
    "a path is asked for": "os.stat('/etc')",
    "a file is removed": "os.unlink('/tmp/caged')",
    "a socket is made": "socket.socket()",
    "a local socket is made": "socket.socket(socket.AF_UNIX)",
    "a process is forked": "os.fork()",
    "a program is run": "os.execv('/bin/true', ['true'])",
    "another process is signalled": "os.kill(os.getppid(), 0)",
    "a program is spawned": "os.posix_spawn('/bin/true', ['true'], {})",
}
PROGRAM = """
import os, socket, sys
from service.media.clips.child import load_library, restrict_calls
assert restrict_calls(load_library())
os.fstat(0)
try:
    {what}
except PermissionError:
    os.write(1, b"refused")
"""


@pytest.mark.parametrize("name", TRIES)
def test_it_is_refused_when(name: str) -> None:
    program = PROGRAM.format(what=TRIES[name])
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (0, "refused"), run.stderr


async def test_the_reader_of_a_clip_is_in_the_cage(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", frames=200, size=(256, 192))
    with path.open("rb") as file:
        async with open_clip(file, LIMITS, Sampling()) as clip:
            status = Path(f"/proc/{clip.pid}/status").read_text(encoding="utf-8")
            frames = sum([len(chunk.frames) async for chunk in clip])
    assert "Seccomp:\t2\n" in status
    assert "NoNewPrivs:\t1\n" in status
    assert frames == 200


def test_without_a_library_nothing_is_shut() -> None:
    from service.media.clips.child import restrict_calls

    assert not restrict_calls(None)
