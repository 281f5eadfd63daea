"""Google's present mesh beside our landmark network and tracker: milliseconds a face, in turn.

    python -m tests.bench.peer_speed --python PYTHON --mesh face_landmarks_detector.tflite

PYTHON has LiteRT and OpenCV (`make bench-peers` installs them); the mesh lies in
`face_landmarker.task`, a zip file. All have one thread and the same face, in a picture that is
small, so that handing it to another process costs little. Medians of wall and of processor time.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from handlers.engines.choice import choose
from handlers.predictors.alignment import LOOKS_AT_DETECTED, AlignmentPredictor
from handlers.predictors.tracking.options import TrackingOptions
from handlers.processing.landmarks import bounding_box
from handlers.store import load_aligner, load_detector
from handlers.track import load_parts
from tests.bench import machine
from tests.bench.align import picture
from tests.bench.peers import OURS, Worker
from tests.serving.deployment import ROOT

MESH = "FaceMesh V2 by LiteRT, two looks"
ALIGN = "dfa as `/align` has it: two looks, the last mirrored"
LOOK = "dfa as the tracker has it: one look"
STEP = "the tracking step with BT, validator and dfa, without decoding"
MARGIN_PX = 60


def works(store: Path, mesh: Worker) -> dict[str, tuple[int, Callable[[], Any]]]:
    """What is timed, by name, with the process that does it."""
    _, whole = picture()
    box = load_detector(store).detect([whole])[0][0].landmark_box
    low, high = np.maximum(box[:2] - MARGIN_PX, 0).astype(int), (box[2:] + MARGIN_PX).astype(int)
    image = np.ascontiguousarray(whole[low[1] : high[1], low[0] : high[0]])
    aligner = load_aligner(store, OURS).predictor
    (face,) = aligner.align([image], [(box - np.tile(low, 2).astype(np.float32))[None]])[0]
    tight = bounding_box(face.landmarks)
    plain = AlignmentPredictor(aligner.engine, replace(aligner.options, flip=False))
    tracker = load_parts(store, "cpu").predictor
    state = None
    for _ in range(3):
        ((_, state),) = tracker.step([image], [state], [TrackingOptions()], [None])
    own = os.getpid()
    return {
        MESH: (mesh.pid, lambda: mesh.find(image, tight)),
        ALIGN: (own, lambda: aligner.align([image], [tight[None]], looks=LOOKS_AT_DETECTED)),
        LOOK: (own, lambda: plain.align([image], [tight[None]])),
        STEP: (own, lambda: tracker.step([image], [state], [TrackingOptions()], [None])),
    }


def run(store: Path, mesh: Worker, rounds: int) -> dict[str, Any]:
    """All of them in turn, again and again."""
    asked = works(store, mesh)
    wall, used = defaultdict(list), defaultdict(float)
    for number in range(rounds + 1):
        for name, (pid, work) in asked.items():
            before, started = machine.cpu_s([pid]), time.perf_counter()
            work()
            if number:  # the first round warms up
                wall[name].append((time.perf_counter() - started) * 1000)
                used[name] += machine.cpu_s([pid]) - before
    return {
        "command": " ".join(["python -m tests.bench.peer_speed", *sys.argv[1:]]),
        "machine": machine.describe(1),
        "ms": {
            name: {
                "median": round(statistics.median(times), 1),
                "processor": round(used[name] * 1000 / rounds, 1),
            }
            for name, times in wall.items()
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--python", type=Path, required=True)
    parser.add_argument("--mesh", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--model-store", type=Path, default=ROOT / "model_store")
    given = parser.parse_args()
    choose(1)
    with Worker(given.python, "facemesh-v2", given.mesh) as mesh:
        print(json.dumps(run(given.model_store, mesh, given.rounds), indent=2))


if __name__ == "__main__":
    main()
