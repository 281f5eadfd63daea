"""Aligners and a detector whose errors are known beforehand, and faces for them."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from handlers.evaluation.align.command import AlignEvaluationOptions, evaluate
from handlers.evaluation.align.report import AlignReport
from handlers.training.datasets.folders import write_pts

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]
FACES = 5


def unit_shape() -> Floats:
    """Landmarks that fill a box of side 1: a box and this give a whole face."""
    points = np.random.default_rng(7).uniform(0, 1, (68, 2)).astype(np.float32)
    points -= points.min(axis=0)
    return np.asarray(points / points.max(axis=0), np.float32)


@dataclass(frozen=True)
class Face:
    landmarks: Floats


@dataclass(frozen=True)
class ShiftedAligner:
    """Off by a known fraction of the box in x; remembers what it was shown."""

    shift: float = 0.0
    seen: list[Image] = field(default_factory=list)

    def align(
        self, images: Sequence[Image], boxes: Sequence[Floats], denoise: bool = True, looks: int = 1
    ) -> list[list[Face]]:
        self.seen.extend(images)
        return [[Face(self._place(box)) for box in rows] for rows in boxes]

    def _place(self, box: Floats) -> Floats:
        sides = box[2:] - box[:2]
        size = np.sqrt(sides.prod())
        return np.asarray(unit_shape() * sides + box[:2] + (self.shift * size, 0), np.float32)


@dataclass(frozen=True)
class Detected:
    landmark_box: Floats


@dataclass(frozen=True)
class BrightFaceDetector:
    """Finds the white square that stands for a face, but not in pictures of other sizes."""

    blind_to_width: int = 0

    def detect(
        self, images: Sequence[Image], min_face_px: int = 40, max_faces: int = 64
    ) -> list[list[Detected]]:
        return [[] if i.shape[1] == self.blind_to_width else self._find(i) for i in images]

    def _find(self, image: Image) -> list[Detected]:
        rows, columns = np.nonzero(image.min(axis=2) > 0.6 * image.max())
        box = np.array([columns.min(), rows.min(), columns.max(), rows.max()], np.float32)
        elsewhere = np.array([0, 0, 5, 5], np.float32)
        return [Detected(elsewhere), Detected(box)]


def write_faces(root: Path) -> Path:
    """Write black pictures of growing width, a white square where the landmarks are."""
    root.mkdir()
    for i in range(FACES):
        picture = np.zeros((150, 150 + 10 * i, 3), np.uint8)
        picture[40:101, 30:91] = 255
        cv2.imwrite(str(root / f"face_{i}.png"), picture)
        write_pts(root / f"face_{i}.pts", unit_shape() * 60 + np.array([30, 40], np.float32))
    return root


def report_on(
    options: AlignEvaluationOptions,
    models: dict[str, ShiftedAligner],
    detector: BrightFaceDetector | None,
) -> tuple[AlignReport, str]:
    out = io.StringIO()
    weights = dict.fromkeys(models, "0" * 64)
    report = evaluate(options, models, detector, weights, Console(file=out, width=80))
    return report, out.getvalue()
