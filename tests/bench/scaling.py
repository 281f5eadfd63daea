"""How cost grows: with the faces of a photograph, with its size, with the length of a clip.

    python -m tests.bench.scaling [--rounds 7] [--out tests/bench/results/scaling.json]

The embedded service, one request after the other; medians of a client's times, in milliseconds.
Photographs are 640 x 480 where faces are counted, and hold one face where sizes are.
"""

import argparse
import io
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from tests.bench import machine
from tests.bench.against import CLIP_HZ, JPEG, LINES, serving
from tests.made_clips import make_clip
from tests.serving.deployment import ROOT
from tests.spoken import speech

FACES = (1, 2, 4, 8)
SIZES = ((640, 360), (1280, 720), (1920, 1080), (4000, 3000))
LENGTHS_S = (2.0, 10.0, 30.0)
COLUMNS = 4
GREY = (90, 90, 90)


def photograph(width: int, height: int, faces: int) -> bytes:
    """A JPEG of so many faces beside and below each other, each a third of the height at most."""
    side = min(height // 3, width // COLUMNS) if faces > 1 else height
    portrait = Image.open(ROOT / "tests/assets/astronaut.jpg").resize((side, side))
    canvas = Image.new("RGB", (width, height), GREY)
    for number in range(faces):
        canvas.paste(portrait, (number % COLUMNS * side, number // COLUMNS * side))
    data = io.BytesIO()
    canvas.save(data, "JPEG", quality=90)
    return data.getvalue()


def clip(folder: Path, length_s: float) -> bytes:
    """A clip of a face that speaks."""
    times = [number / CLIP_HZ for number in range(round(length_s * CLIP_HZ))]
    path = make_clip(folder / f"{length_s:g}.mp4", times, 640, 480, pcm=speech(length_s))
    return path.read_bytes()


def median_ms(work: Callable[[], object], rounds: int) -> float:
    """How long one call takes, after one that warms up."""
    times = []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        work()
        times.append((time.perf_counter() - started) * 1000)
    return round(statistics.median(times[1:]), 1)


def align_ms(client: httpx.Client, image: bytes, rounds: int, faces: int) -> float:
    """The time of a photograph, which has to have so many faces."""

    def ask() -> None:
        reply = client.post("/align", content=image, headers=JPEG).raise_for_status()
        assert len(reply.json()["faces"]) == faces

    return median_ms(ask, rounds)


def run(rounds: int) -> dict[str, Any]:
    """All figures."""
    with (
        tempfile.TemporaryDirectory() as folder,
        serving("here", ROOT, sys.executable) as arm,
    ):
        client = arm.client
        clips = {length_s: clip(Path(folder), length_s) for length_s in LENGTHS_S}

        def ask(data: bytes) -> None:
            client.post("/affect", content=data, headers=LINES).raise_for_status()

        return {
            "command": " ".join(["python -m tests.bench.scaling", *sys.argv[1:]]),
            "machine": machine.describe(1),
            "align_ms_by_faces": {
                count: align_ms(client, photograph(640, 480, count), rounds, count)
                for count in FACES
            },
            "align_ms_by_size": {
                f"{width} x {height}": align_ms(client, photograph(width, height, 1), rounds, 1)
                for width, height in SIZES
            },
            "affect_ms_by_seconds": {
                f"{length_s:g}": median_ms(partial(ask, data), 1)
                for length_s, data in clips.items()
            },
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=ROOT / "tests/bench/results/scaling.json")
    options = parser.parse_args()
    text = json.dumps(run(options.rounds), indent=2) + "\n"
    options.out.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
