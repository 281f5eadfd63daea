"""Ctrl-C on a terminal: the command ends soon, with its code, and leaves nothing half-written."""

import asyncio
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.client.conftest import RunningService
from tests.made_clips import make_clip
from tests.service.counting import CountingTracker
from tests.service.feeling import CountingAffect

ROOT = Path(__file__).parent.parent
SOON_S = 2.0


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
    program = [sys.executable, "-c", "from service.entry import main; main()", *arguments]
    terminal, end = pty.openpty()
    process = subprocess.Popen(program, stdout=end, stderr=end, cwd=ROOT, start_new_session=True)
    os.close(end)
    try:
        while models.steps < 2:
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)
        interrupted = time.monotonic()
        said = _read_all(terminal)
        code = process.wait(timeout=30)
        assert time.monotonic() - interrupted < SOON_S
        assert code == 130
        assert "Traceback" not in said
        assert not [path for path in out.rglob("*") if path.is_file()]
        models.delay_s = 0.0
        assert subprocess.run(program, cwd=ROOT, capture_output=True).returncode == 0
        assert [path.name for path in out.iterdir()] == ["walk.csv"]
    finally:
        os.close(terminal)
        process.kill()
        process.wait()
        service.stop()


class Slow(CountingAffect):
    """Takes its time for every chunk."""

    delay_s = 0.2

    async def ask(self, model, question):
        await asyncio.sleep(self.delay_s)
        return await super().ask(model, question)


def _read_all(terminal: int) -> str:
    """Return what is shown until the program has ended."""
    said = b""
    while True:
        try:
            part = os.read(terminal, 4096)
        except OSError:  # the other end is closed
            return said.decode(errors="replace")
        if not part:
            return said.decode(errors="replace")
        said += part
