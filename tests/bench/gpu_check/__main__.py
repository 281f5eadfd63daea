"""Check a GPU in ten minutes, without TorchServe or Java.

    python -m tests.bench.gpu_check run --out gpu.json     # everything, written after each step
    python -m tests.bench.gpu_check pack gpu-check.tar.gz  # what that needs, for another machine

It needs the packages torch, numpy, opencv-python-headless, msgpack, safetensors, pillow, pi-heif,
simplejpeg and onnxruntime.
"""

import argparse
import json
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
STEPS = (
    *("facts", "same_answers", "states_across", "loading", "bare_steps", "transfers"),
    *("cuda_graphs", "several_processes", "out_of_memory", "device_assert"),
)
CODE = ("handlers", "tests/bench/gpu_check")
LEFT_OUT = frozenset({"training", "evaluation", "__pycache__"})
SERVED_TOO = ("expressions", "voice")
MOST_SHOWN = 2000


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says; return the exit status: 1 where a step failed."""
    given = make_parser().parse_args(arguments)
    return int(given.run_command(given))


def make_parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.gpu_check",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True)
    running = commands.add_parser("run", help="carry out all steps")
    running.add_argument("--out", type=Path, default=Path("gpu-check.json"))
    running.add_argument("--minutes", type=float, default=10.0, help="for all steps together")
    running.add_argument("--steps", default=",".join(STEPS), help="only these, in this order")
    one = commands.add_parser("step", help="carry out one step and print what it found")
    one.add_argument("name")
    for command in (running, one):
        command.add_argument("--store", type=Path, default=ROOT / "model_store")
        command.add_argument("--device", default="cuda", help="such as cuda, cuda:1 or cpu")
        command.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
        command.add_argument("--batches", type=_counts, default=(1, 2, 4, 8, 16))
        command.add_argument("--processes", type=_counts, default=(1, 2, 4, 6))
        command.add_argument("--models", default="align,track,affect")
    packing = commands.add_parser("pack", help="write what the check needs into an archive")
    packing.add_argument("out", type=Path)
    packing.add_argument("--store", type=Path, default=ROOT / "model_store")
    running.set_defaults(run_command=run)
    one.set_defaults(run_command=step)
    packing.set_defaults(run_command=pack)
    return parser


def run(given: argparse.Namespace) -> int:
    """Carry out every step in a process of its own; a failure is written, and the rest goes on."""
    ends = time.monotonic() + given.minutes * 60
    found: dict[str, Any] = {}
    for name in given.steps.split(","):
        left_s = ends - time.monotonic()
        found[name] = _guarded(name, given, left_s) if left_s > 0 else {"failed": "no time left"}
        given.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        sys.stdout.write(f"{name}: {json.dumps(found[name])[:MOST_SHOWN]}\n")
        sys.stdout.flush()
    return int(any("failed" in one for one in found.values()))


def step(given: argparse.Namespace) -> int:
    """Carry out one step in this process; what it found is the last line of the output."""
    from tests.bench.gpu_check.steps import Settings, run_step

    measured = (given.seconds, given.batches, given.processes, tuple(given.models.split(",")))
    settings = Settings(given.store.resolve(), given.device, *measured)
    sys.stdout.write(json.dumps(run_step(given.name, settings)) + "\n")
    return 0


def pack(given: argparse.Namespace) -> int:
    """Write the archive, and say how large it is."""
    with tarfile.open(given.out, "w:gz") as archive:
        for path, name in needed(given.store):
            archive.add(path, name, recursive=False)
    megabytes = given.out.stat().st_size / 1e6
    sys.stdout.write(f"{given.out}: {megabytes:.1f} MB\n")
    return 0


def needed(store: Path) -> Iterator[tuple[Path, str]]:
    """The files that the check reads, and their names in an archive."""
    from handlers.torchserve.models import MODELS

    for folder in CODE:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and not LEFT_OUT & set(path.relative_to(ROOT).parts):
                yield path, str(path.relative_to(ROOT))
    served = {folder for one in MODELS.values() for folder in one.weights}
    for folder in sorted(served | {*SERVED_TOO}):
        for path in sorted((store / folder).glob("*")):
            yield path, f"model_store/{folder}/{path.name}"


def _guarded(name: str, given: argparse.Namespace, left_s: float) -> dict[str, Any]:
    command = [
        *(sys.executable, "-m", "tests.bench.gpu_check", "step", name),
        *("--store", str(given.store), "--device", given.device),
        *("--seconds", str(given.seconds)),
        *("--batches", _text(given.batches), "--processes", _text(given.processes)),
        *("--models", given.models),
    ]
    began = time.monotonic()
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=left_s)
    except subprocess.TimeoutExpired:
        return {"failed": f"it was not done in {left_s:.0f} s"}
    taken = {"seconds": round(time.monotonic() - began, 1)}
    if ended.returncode != 0:
        return {"failed": ended.stderr.strip()[-MOST_SHOWN:], "status": ended.returncode, **taken}
    return {**json.loads(ended.stdout.splitlines()[-1]), **taken}


def _counts(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def _text(counts: tuple[int, ...]) -> str:
    return ",".join(map(str, counts))


if __name__ == "__main__":
    raise SystemExit(main())
