"""This tree against another commit of it, measured in turn in one run: medians, and their ratios.

    python -m tests.bench.against COMMIT [--rounds 5] [--seconds 3] [--same-environment]
        [--torchserve] [--out F]

The other commit is laid beside this tree (`git worktree`) with an environment of its own, as `make
run` installs it; `--same-environment` runs it in this one, where it needs nothing else. Both serve
the same pictures (640 x 480, one face) and the same clip (10 s with sound); with `--torchserve`
both serve live sessions with TorchServe behind them, too. Times are those of a client; processor
time is what the service used, and says more than they do on a busy machine.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.bench import machine
from tests.bench.align import picture
from tests.bench.loads import Tally, closed_track
from tests.made_clips import make_clip
from tests.serving.deployment import ROOT, free_port
from tests.spoken import speech

CLIP_S, CLIP_HZ, ALIGNED, SESSIONS, STEPS = 10.0, 25, 10, 16, 25
JPEG = {"Content-Type": "image/jpeg"}
LINES = {"Content-Type": "video/mp4", "Accept": "application/x-ndjson"}
Figures = dict[str, list[float]]


@dataclass
class Arm:
    """A service of one tree, and what was measured of it."""

    name: str
    process: "subprocess.Popen[bytes]"
    client: httpx.Client
    stepper: "subprocess.Popen[str] | None" = None
    figures: Figures = field(default_factory=lambda: defaultdict(list))

    @property
    def live(self) -> str:
        """Where a session's frames go."""
        return str(self.client.base_url.copy_with(scheme="ws")).rstrip("/") + "/track/bench"

    def note(self, **figures: float) -> None:
        """Keep figures by name."""
        for name, value in figures.items():
            self.figures[name].append(value)

    @contextmanager
    def processor_time(self, name: str, count: int = 1) -> Iterator[None]:
        """Note the processor time of what is done inside, in ms for each of so many."""
        before = machine.cpu_s([self.process.pid])
        yield
        self.note(**{name: (machine.cpu_s([self.process.pid]) - before) * 1000 / count})


@contextmanager
def other_tree(commit: str, same_environment: bool) -> Iterator[tuple[Path, str]]:
    """The commit in a folder of its own, and the Python that runs it."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(tree), commit], check=True)
        try:
            if not same_environment:
                make = ["make", "-C", str(tree), ".venv/.models"]
                subprocess.run(make, check=True, stdout=sys.stderr)
            python = sys.executable if same_environment else str(tree / ".venv/bin/python")
            yield tree, python
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)


def _environment(tree: Path) -> dict[str, str]:
    known = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**known, "PYTHONPATH": str(tree), "OMP_WAIT_POLICY": "PASSIVE"}


@contextmanager
def serving(name: str, tree: Path, python: str, **settings: str) -> Iterator[Arm]:
    """A service of a tree, ready to be asked."""
    port = free_port()
    environment = {
        **_environment(tree),
        "COUNTENANCE_PORT": str(port),
        "COUNTENANCE_LOG_LEVEL": "error",
        "COUNTENANCE_DEVICE": "cpu",
        "COUNTENANCE_MODEL_STORE": str(tree / "model_store"),
        # What is compared is how fast each is, not how fast a socket may be.
        "COUNTENANCE_REQUESTS_PER_MINUTE": "100000",
        "COUNTENANCE_MAX_FRAMES_PER_S": "10000",
        **settings,
    }
    started = time.perf_counter()
    process = subprocess.Popen([python, "-m", "service"], cwd=tree, env=environment)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=300) as client:
            arm = Arm(name, process, client)
            _wait_until_ready(arm)
            arm.note(ready_s=time.perf_counter() - started)
            yield arm
    finally:
        process.terminate()
        process.wait()


@contextmanager
def serving_behind(name: str, tree: Path, python: str) -> Iterator[Arm]:
    """The same with a TorchServe of the tree behind it."""
    with tempfile.TemporaryDirectory(prefix="cnt-") as run:
        address = f"unix:{run}/inference.sock"
        command = [python, "-m", "handlers.torchserve", "serve", "--run", run, "--threads", "1"]
        command += ["--model-store", str(tree / "model_store"), "--address", address]
        models = subprocess.Popen(
            command, cwd=tree, env=_environment(tree), stdout=subprocess.DEVNULL
        )
        try:
            with serving(name, tree, python, COUNTENANCE_INFERENCE=address) as arm:
                yield arm
        finally:
            models.terminate()
            models.wait()


@contextmanager
def stepping(arm: Arm, tree: Path, python: str, image: Path) -> Iterator[None]:
    """A process of the tree that makes tracking steps when it is asked to, for an arm."""
    command = [python, str(ROOT / "tests/bench/steps.py"), str(image)]
    environment = {**_environment(tree), "OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    arm.stepper = subprocess.Popen(
        command, cwd=tree, env=environment, stdin=pipe, stdout=pipe, text=True
    )
    try:
        yield
    finally:
        arm.stepper.terminate()
        arm.stepper.wait()


def make_steps(arm: Arm) -> None:
    """Note what a tracking step takes in the arm's own process."""
    assert arm.stepper is not None
    assert arm.stepper.stdin is not None
    assert arm.stepper.stdout is not None
    print(STEPS, file=arm.stepper.stdin, flush=True)
    arm.note(**json.loads(arm.stepper.stdout.readline()))


def _wait_until_ready(arm: Arm) -> None:
    while arm.process.poll() is None:
        try:
            if arm.client.get("/health/ready").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise RuntimeError(f"the service of {arm.name} ended before it was ready")


def measure(arm: Arm, image: bytes, clip: bytes, seconds: float) -> None:
    """One round: photographs, tracking steps, a session of some seconds, many sessions, a clip."""
    with arm.processor_time("align_cpu_ms", ALIGNED):
        for _ in range(ALIGNED):
            started = time.perf_counter()
            arm.client.post("/align", content=image, headers=JPEG).raise_for_status()
            arm.note(align_ms=(time.perf_counter() - started) * 1000)
    make_steps(arm)
    tally, started = Tally(), time.perf_counter()
    before = machine.cpu_s([arm.process.pid])
    asyncio.run(closed_track(arm.live, image, started + seconds, tally))
    passed, used = time.perf_counter() - started, machine.cpu_s([arm.process.pid]) - before
    found = tally.summary(passed, used)
    arm.note(track_ms=found["p50_ms"], track_p95_ms=found["p95_ms"])
    arm.note(track_frame_ms=1000 / found["per_second"], track_cpu_ms=found["cpu_ms_each"])
    arm.note(track_frame_ms_of_16_sessions=frame_ms_of_many(arm, image, seconds))
    with arm.processor_time("clip_cpu_ms"):
        _ask_affect(arm, clip)


def measure_in_turn(
    arms: tuple[Arm, Arm], image: bytes, clip: bytes, rounds: int, seconds: float
) -> None:
    """So many rounds of both, each first in every other one, and one before them to warm up."""
    for number in range(rounds + 1):
        for arm in arms if number % 2 else reversed(arms):
            measure(arm, image, clip, seconds)
        if number == 0:
            for arm in arms:
                ready = arm.figures["ready_s"]
                arm.figures.clear()
                arm.figures["ready_s"] = ready


def frame_ms_of_many(arm: Arm, image: bytes, seconds: float) -> float:
    """The time of a client's frame over how many sessions there are."""
    tally, started = Tally(), time.perf_counter()
    asyncio.run(_many(arm, image, started + seconds, tally))
    return 1000 / float(tally.summary(time.perf_counter() - started, 0.0)["per_second"])


async def _many(arm: Arm, image: bytes, until_s: float, tally: Tally) -> None:
    addresses = [f"{arm.live}-{number}" for number in range(SESSIONS)]
    await asyncio.gather(*(closed_track(one, image, until_s, tally) for one in addresses))


def _ask_affect(arm: Arm, clip: bytes) -> None:
    started = time.perf_counter()
    asked = arm.client.stream(
        "POST", "/affect", content=clip, headers=LINES, params={"variant": "avi-gas"}
    )
    with asked as response:
        response.raise_for_status()
        lines = response.iter_lines()
        next(lines)
        arm.note(clip_first_line_ms=(time.perf_counter() - started) * 1000)
        for _ in lines:
            pass
    arm.note(clip_ms=(time.perf_counter() - started) * 1000)


def compare(one: Arm, other: Arm) -> dict[str, Any]:
    """The medians of both, and those of the first over those of the second."""
    rows = {}
    for name in one.figures:
        ours, theirs = (statistics.median(arm.figures[name]) for arm in (one, other))
        rows[name] = {
            one.name: round(ours, 1),
            other.name: round(theirs, 1),
            "ratio": round(ours / theirs, 2),
        }
    return rows


def run(
    commit: str, rounds: int, seconds: float, same_environment: bool, torchserve: bool
) -> dict[str, Any]:
    """Both services side by side, one asked after the other."""
    image, _ = picture()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        times = [number / CLIP_HZ for number in range(round(CLIP_S * CLIP_HZ))]
        (folder / "frame.jpg").write_bytes(image)
        clip = make_clip(folder / "clip.mp4", times, 640, 480, pcm=speech(CLIP_S))
        tree, python = stack.enter_context(other_tree(commit, same_environment))
        ours = stack.enter_context(serving("here", ROOT, sys.executable))
        theirs = stack.enter_context(serving(commit[:12], tree, python))
        for arm, where, how in ((ours, ROOT, sys.executable), (theirs, tree, python)):
            stack.enter_context(stepping(arm, where, how, folder / "frame.jpg"))
        measure_in_turn((ours, theirs), image, clip.read_bytes(), rounds, seconds)
        for arm in (ours, theirs):
            arm.note(resident_mb=machine.resident_mb(arm.process.pid))
        if torchserve:
            behind = [
                stack.enter_context(serving_behind(arm.name, where, how))
                for arm, where, how in ((ours, ROOT, sys.executable), (theirs, tree, python))
            ]
            for number in range(rounds + 1):
                for arm, asked in zip((ours, theirs), behind, strict=True):
                    took_ms = frame_ms_of_many(asked, image, seconds)
                    if number:  # the first round warms up
                        arm.note(torchserve_frame_ms_of_16_sessions=took_ms)
        return {
            "command": " ".join(["python -m tests.bench.against", *sys.argv[1:]]),
            "machine": machine.describe(1),
            "rounds": rounds,
            "figures": compare(ours, theirs),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("commit")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--same-environment", action="store_true")
    parser.add_argument("--torchserve", action="store_true", help="measure that way, too")
    parser.add_argument("--out", type=Path, help="a file for what is printed")
    options = parser.parse_args()
    result = run(
        options.commit,
        options.rounds,
        options.seconds,
        options.same_environment,
        options.torchserve,
    )
    text = json.dumps(result, indent=2) + "\n"
    if options.out:
        options.out.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
