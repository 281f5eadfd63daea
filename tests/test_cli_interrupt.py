"""Ctrl-C on a terminal: the command ends soon, with its code, and leaves nothing half-written."""

import asyncio
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import psutil
import pytest

from tests.client.conftest import RunningService
from tests.made_clips import make_clip
from tests.service.counting import CountingTracker
from tests.service.feeling import CountingAffect
from tests.waiting import wait_until

ROOT = Path(__file__).parent.parent
SOON_S = 2.0  # of the processor


@pytest.mark.slow
@pytest.mark.parametrize("command", ["track", "affect"])
def test_one_interrupt_ends_the_command_and_the_next_run_goes_on(
    command: str, tmp_path: Path
) -> None:
    models = CountingTracker(delay_s=0.2) if command == "track" else Slow()
    service = RunningService(models)
    clip = make_clip(tmp_path / "walk.mp4", [number / 25 for number in range(60)])
    out = tmp_path / "out"
    arguments = [command, str(clip), "--csv", "--out", str(out), "--url", service.url]
    try:
        with Terminal(arguments) as terminal:
            wait_until(lambda: models.steps >= 2)
            terminal.interrupt()
        assert not [path for path in out.rglob("*") if path.is_file()]
        models.delay_s = 0.0
        assert subprocess.run(terminal.program, cwd=ROOT, capture_output=True).returncode == 0
        assert [path.name for path in out.iterdir()] == ["walk.csv"]
    finally:
        service.stop()


@pytest.mark.slow
@pytest.mark.parametrize("command", ["track", "affect"])
@pytest.mark.parametrize("jobs", [1, 2])
def test_the_models_of_this_process_are_interrupted_at_once_and_leave_nothing(
    command: str, jobs: int, tmp_path: Path
) -> None:
    """While they load and compute: a computation cannot be interrupted, and is not waited for."""
    pytest.importorskip("handlers.track")
    clips = tmp_path / "clips"
    clips.mkdir()
    for name in ("one.mp4", "two.mp4", "three.mp4"):
        make_clip(clips / name, [number / 25 for number in range(500)])
    out = tmp_path / "out"
    arguments = [command, str(clips), "--csv", "--out", str(out), "--jobs", str(jobs)]
    with Terminal(arguments) as terminal:
        wait_until(lambda: len(list(terminal.temporary.glob("countenance-*/socket"))) == jobs)
        terminal.interrupt()
        assert not [path for path in out.rglob("*") if path.is_file()]
        assert not list(terminal.temporary.glob("countenance-*"))


class Terminal:
    """A command on a pseudo-terminal of its own, with a folder of its own for what is temporary."""

    def __init__(self, arguments: list[str]) -> None:
        start = "from service.__main__ import run_command; run_command()"
        self.program = [sys.executable, "-c", start, *arguments]
        self._folder = TemporaryDirectory()
        self.temporary = Path(self._folder.name)

    def __enter__(self) -> Self:
        self._end, end = pty.openpty()
        self.process = subprocess.Popen(
            self.program,
            stdout=end,
            stderr=end,
            cwd=ROOT,
            env={**os.environ, "TMPDIR": self._folder.name},
            start_new_session=True,
            # What was started in the background of a shell ignores Ctrl-C, and so would this.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        os.close(end)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._end)
        self.process.kill()
        self.process.wait()
        self._folder.cleanup()

    def interrupt(self) -> None:
        """Press Ctrl-C; the command ends with its code, soon by its own clock, without a traceback.

        Its clock is the processor's time: how long that is on a wall depends on who else computes.
        """
        before_s = self._computed_s()
        os.killpg(self.process.pid, signal.SIGINT)
        said = self.read()
        _, status, used = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        assert self.process.returncode == 130, said
        assert "Traceback" not in said
        assert used.ru_utime + used.ru_stime - before_s < SOON_S

    def read(self) -> str:
        """Return what is shown until the command has ended."""
        said = b""
        while True:
            try:
                part = os.read(self._end, 4096)
            except OSError:  # the other end is closed
                part = b""
            if not part:
                return said.decode(errors="replace")
            said += part

    def _computed_s(self) -> float:
        """The processor's time of the command and of its processes, as `os.wait4` counts it."""
        process = psutil.Process(self.process.pid)
        times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
        return sum(one.user + one.system + one.children_user + one.children_system for one in times)


class Slow(CountingAffect):
    """Takes its time for every chunk."""

    delay_s = 0.2

    async def ask(self, model, question):
        await asyncio.sleep(self.delay_s)
        return await super().ask(model, question)
