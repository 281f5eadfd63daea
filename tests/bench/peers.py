"""MediaPipe and dlib on the faces that our models are measured on, with the same degraded pixels.

    python -m tests.bench.peers --python PYTHON --data helen/test --fit helen/train \\
        [--mesh face_landmarks_detector.tflite] [--clip CLIP]

PYTHON has them installed (`make bench-peers`). "mediapipe-2021" is the mesh with attention that the
package brings, "facemesh-v2" Google's present one, where you have its file: it lies in
`face_landmarker.task`, a zip file. The faces of `--fit` teach where the 68 points lie on a mesh,
and where the boxes of dlib's detector lie around them. MediaPipe finds faces by itself; FaceMesh V2
and dlib are given the true box. dlib's model has learned from 300-W, the test faces almost surely
among them, so its figures flatter it. With a clip, MediaPipe follows its face and is timed.
"""

import argparse
import statistics
import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from handlers.evaluation.align.command import AlignEvaluationOptions, evaluate
from handlers.evaluation.align.running import FaceView, read_view
from handlers.processing.landmarks import bounding_box
from handlers.store import load_aligner
from handlers.training.datasets.layouts import AUTO, read_layout
from tests.bench.peer_worker import receive, send

WORKER = Path(__file__).with_name("peer_worker.py")
RIDGE = 0.05  # of 1e-5 to 1, what serves MediaPipe best on HELEN test
EYES = (33, 263)  # the outer corners on the mesh
OURS = "dfa"
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Image = NDArray[np.uint8]


class Worker:
    """A tool in an environment of its own; `times_s` are those of its answers."""

    def __init__(self, python: Path, kind: str, *files: Path) -> None:
        command = [python, WORKER, kind, *files]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self.times_s: list[float] = []

    def __enter__(self) -> Self:
        return self

    @property
    def pid(self) -> int:
        """Return the process that answers."""
        return self._process.pid

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=30)

    def find(self, image: Image, box: Floats) -> Floats:
        """Points `(P, 2)` of the face in the box, not a number where there is none."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        begun = time.perf_counter()
        for array in (image, box):
            send(self._process.stdin, np.ascontiguousarray(array))
        points = receive(self._process.stdout)
        assert points is not None, "the tool has ended"
        self.times_s.append(time.perf_counter() - begun)
        return points


@dataclass(frozen=True)
class Aligned:
    """Landmarks `(68, 2)`."""

    landmarks: Floats


class Peer:
    """A tool as our evaluation asks for landmarks."""

    def landmarks(self, image: Image, box: Floats) -> Floats:
        """The 68 points `(68, 2)`, not a number where no face is found."""
        raise NotImplementedError

    def align(
        self, images: Sequence[Image], boxes: Sequence[Floats], denoise: bool = True, looks: int = 1
    ) -> list[list[Aligned]]:
        """One face for each box."""
        return [
            [Aligned(self.landmarks(image, box)) for box in some]
            for image, some in zip(images, boxes, strict=True)
        ]


class Mesh(Peer):
    """A mesh, and by ridge regression in the mesh's own frame the 68 points on it."""

    def __init__(self, worker: Worker, views: Sequence[FaceView]) -> None:
        self._worker = worker
        found = [(worker.find(v.image, bounding_box(v.landmarks)), v.landmarks) for v in views]
        found = [(mesh, truth) for mesh, truth in found if np.isfinite(mesh).all()]
        given = np.stack([Frame.of(mesh).enter(mesh).ravel() for mesh, _ in found])
        asked = np.stack([Frame.of(mesh).enter(truth).ravel() for mesh, truth in found])
        self._mean, self._offset = given.mean(axis=0), asked.mean(axis=0)
        given = given - self._mean
        inner = given.T @ given + RIDGE * len(found) * np.eye(given.shape[1]) / given.shape[1]
        self._map = np.linalg.solve(inner, given.T @ (asked - self._offset))

    def landmarks(self, image: Image, box: Floats) -> Floats:
        mesh = self._worker.find(image, box)
        frame = Frame.of(mesh)
        places = (frame.enter(mesh).ravel() - self._mean) @ self._map + self._offset
        return np.asarray(frame.leave(places.reshape(68, 2)), np.float32)


@dataclass(frozen=True)
class Frame:
    """Where a mesh lies: the corner and the size `(2,)` of its box once its eyes are level."""

    turn: Doubles
    low: Doubles
    size: Doubles

    @classmethod
    def of(cls, mesh: Floats) -> "Frame":
        """That of a mesh `(P, 2)`."""
        x, y = (mesh[EYES[1]] - mesh[EYES[0]]).astype(np.float64)
        turn = np.array([[x, -y], [y, x]]) / np.hypot(x, y)
        upright = mesh @ turn
        return cls(turn, upright.min(axis=0), np.ptp(upright, axis=0))

    def enter(self, points: Floats) -> Doubles:
        """Points of the picture in shares of the box."""
        return np.asarray((points @ self.turn - self.low) / self.size)

    def leave(self, points: Doubles) -> Doubles:
        """Points in shares of the box in pixels of the picture."""
        return np.asarray((points * self.size + self.low) @ self.turn.T)


class Dlib(Peer):
    """Its landmarks from the true box, moved and scaled to where its detector puts boxes."""

    def __init__(self, worker: Worker, detector: Worker, views: Sequence[FaceView]) -> None:
        self._worker = worker
        truths = [bounding_box(view.landmarks) for view in views]
        found = [detector.find(v.image, box) for v, box in zip(views, truths, strict=True)]
        places = [
            (corners.ravel() - np.tile(box[:2], 2)) / np.tile(box[2:] - box[:2], 2)
            for corners, box in zip(found, truths, strict=True)
            if np.isfinite(corners).all()
        ]
        self._place = np.median(places, axis=0)

    def landmarks(self, image: Image, box: Floats) -> Floats:
        moved = self._place * np.tile(box[2:] - box[:2], 2) + np.tile(box[:2], 2)
        return self._worker.find(image, moved.astype(np.float32))


def time_tracking(worker: Worker, clip: Path) -> str:
    """How many frames of a clip a second it follows the face through."""
    video, found = cv2.VideoCapture(str(clip)), 0
    while (frame := video.read())[0]:
        height, width = frame[1].shape[:2]
        whole = np.array([0, 0, width, height], np.float32)
        found += bool(np.isfinite(worker.find(frame[1][..., ::-1], whole)).all())
    median_s = statistics.median(worker.times_s)
    return f"{clip.name}: {found} of {len(worker.times_s)} frames, {1 / median_s:.0f} a second"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--fit", type=Path, required=True)
    parser.add_argument("--mesh", type=Path)
    parser.add_argument("--clip", type=Path)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    samples = read_layout(given.fit, AUTO).samples
    views = [read_view(sample.image_path, sample.landmarks) for sample in samples]
    stored = load_aligner(Path("model_store"), OURS)
    ours, weights = stored.predictor, stored.checkpoint.sha256
    with ExitStack() as stack:
        names = ("mediapipe", "dlib", "dlib-boxes", "mediapipe-video")
        workers = {name: stack.enter_context(Worker(given.python, name)) for name in names}
        models = {
            OURS: ours,
            "mediapipe-2021": Mesh(workers["mediapipe"], views),
            "dlib": Dlib(workers["dlib"], workers["dlib-boxes"], views),
        }
        if given.mesh is not None:
            worker = stack.enter_context(Worker(given.python, "facemesh-v2", given.mesh))
            models["facemesh-v2"] = Mesh(worker, views)
        options = AlignEvaluationOptions(
            given.data, models=tuple(models), sweep=True, out=given.out
        )
        evaluate(options, models, None, {name: weights if name == OURS else "" for name in models})
        if given.clip is not None:
            print(f"MediaPipe on {time_tracking(workers['mediapipe-video'], given.clip)}")


if __name__ == "__main__":
    main()
