"""Annotated faces, as they are or degraded, and predictors to errors.

One pass over the pictures, every model on each. Section 3.4.1 and appendix B: to mean the same on
every picture, degradations act on a picture resized until the face's landmark box measures 128
pixels (the root of its area).
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import cv2
import numpy as np

from handlers.evaluation.metrics import box_size, nme_box, nme_eyes
from handlers.predictors.alignment import LOOKS_AT_DETECTED, AlignmentPredictor
from handlers.predictors.detection.detector import MIN_FACE_PX, FaceDetector
from handlers.processing.arrays import Doubles, Floats, Image
from handlers.processing.boxes import overlap
from handlers.processing.degradations import LEVELS, REFERENCE_FACE_PX, degrade
from handlers.processing.landmarks import bounding_box
from handlers.training.datasets.folders import FaceSample, read_picture

LONGEST_SIDE_PX = 4096  # a picture is not blown up beyond this for the sake of a tiny face
LEAST_OVERLAP = 0.3  # a detection that covers less of the face's box has found something else


@dataclass(frozen=True, slots=True)
class Condition:
    """A degradation and its level, as `processing.degradations` names them."""

    degradation: str
    level: float

    @property
    def label(self) -> str:
        """The level alone, as a column is headed; empty where there is none."""
        if not self.level:
            return ""
        return f"1/{self.level:g}" if self.degradation == "downsampling" else f"{self.level:g}"

    def __str__(self) -> str:
        return f"{self.degradation} {self.label}".strip()


CLEAN = Condition("clean", 0)  # the picture as it is

RESIZED = Condition("clean-128", 0)  # the sweep's own reference: resized, not degraded

SWEEP = (RESIZED, *(Condition(name, level) for name in LEVELS for level in LEVELS[name]))


@dataclass(frozen=True, slots=True, eq=False)
class FaceView:
    """A picture `(H, W, 3)` uint8 RGB and the true landmarks `(68, 2)` in its pixels."""

    image: Image
    landmarks: Floats = field(repr=False)


def read_view(path: Path, landmarks: Floats) -> FaceView:
    """Read a picture as `read_picture` reads it, with its landmarks."""
    return FaceView(read_picture(path), landmarks)


def apply(view: FaceView, condition: Condition, rng: np.random.Generator) -> FaceView:
    """Return the view under a condition: as it is, or resized to a 128-pixel face and degraded."""
    if condition == CLEAN:
        return view
    resized = resize_face(view, REFERENCE_FACE_PX)
    if condition == RESIZED:
        return resized
    face_px = box_size(resized.landmarks)
    pixels = degrade(resized.image, condition.degradation, condition.level, rng, face_px)
    return FaceView(pixels, resized.landmarks)


def resize_face(view: FaceView, face_px: float) -> FaceView:
    """Resize until the landmark box measures `face_px`: averaged down, bilinear up.

    Landmarks move with the pixel centres: `x' = (x + 0.5) * scale - 0.5`.
    """
    height, width = view.image.shape[:2]
    wanted = face_px / box_size(view.landmarks)
    scale = min(wanted, max(LONGEST_SIDE_PX / max(height, width), 1.0))
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    pixels = np.asarray(cv2.resize(view.image, size, interpolation=method), np.uint8)
    ratio = np.array([size[0] / width, size[1] / height])
    return FaceView(pixels, ((view.landmarks + 0.5) * ratio - 0.5).astype(np.float32))


class Boxes(StrEnum):
    """The source of the box that a predictor starts from."""

    TRUTH = "truth"
    DETECTOR = "detector"


@dataclass(frozen=True, slots=True)
class Case:
    """One column of results: a model, what was done to the pictures, whose boxes it got."""

    model: str
    condition: Condition
    boxes: Boxes


@dataclass(frozen=True, slots=True, eq=False)
class Errors:
    """Errors `(N,)` over all faces, infinite where the face was missed.

    `landmarks` `(N, 68, 2)` in picture pixels are kept for clean pictures only (not a number
    where missed).
    """

    box: Doubles
    eyes: Doubles
    landmarks: Floats | None = field(repr=False)

    @classmethod
    def none_found(cls, faces: int, condition: Condition) -> "Errors":
        """Return every face as missed, to be filled in."""
        kept = np.full((faces, 68, 2), np.nan, np.float32) if condition == CLEAN else None
        return cls(np.full(faces, np.inf), np.full(faces, np.inf), kept)

    def enter(self, index: int, predicted: Floats, truth: Floats) -> None:
        """Note one prediction; landmarks `(68, 2)` that are not finite count as missed."""
        if not np.isfinite(predicted).all():
            return
        self.box[index] = nme_box(predicted, truth)
        self.eyes[index] = nme_eyes(predicted, truth)
        if self.landmarks is not None:
            self.landmarks[index] = predicted


def run(
    samples: Sequence[FaceSample],
    models: Mapping[str, AlignmentPredictor],
    detector: FaceDetector | None,
    conditions: Sequence[Condition],
    *,
    min_face_px: int = MIN_FACE_PX,
    batch: int = 32,
    seed: int = 0,
    done: Callable[[int], None] = lambda _: None,
) -> dict[Case, Errors]:
    """Return errors of every model under every condition, from true boxes and, if given, detected
    ones.

    The same degraded pixels go to every model. `done` hears how many pictures are through.
    """
    sources = [Boxes.TRUTH] if detector is None else [Boxes.TRUTH, Boxes.DETECTOR]
    errors = {
        Case(model, condition, source): Errors.none_found(len(samples), condition)
        for condition in conditions
        for source in sources
        for model in models
    }
    for start in range(0, len(samples), batch):
        part = samples[start : start + batch]
        originals = [read_view(sample.image_path, sample.landmarks) for sample in part]
        for condition in conditions:
            views = {
                start + i: apply(view, condition, _generator(seed, start + i, condition))
                for i, view in enumerate(originals)
            }
            for source in sources:
                boxes = _boxes(views, detector if source == Boxes.DETECTOR else None, min_face_px)
                looks = LOOKS_AT_DETECTED if source == Boxes.DETECTOR else 1
                for name, model in models.items():
                    _align(model, views, boxes, looks, errors[Case(name, condition, source)])
            done(len(part))
    return errors


def _generator(seed: int, index: int, condition: Condition) -> np.random.Generator:
    """Return a generator of noise that depends on the face and the condition, not on what else is
    run."""
    return np.random.default_rng([seed, index, zlib.crc32(str(condition).encode())])


def _boxes(
    views: dict[int, FaceView], detector: FaceDetector | None, min_face_px: int
) -> dict[int, Floats]:
    """Return one box `(4,)` for each face that has one."""
    truths = {index: bounding_box(view.landmarks) for index, view in views.items()}
    if detector is None:
        return truths
    found = detector.detect([view.image for view in views.values()], min_face_px=min_face_px)
    matched = {
        index: best_match([face.landmark_box for face in faces], truths[index])
        for index, faces in zip(views, found, strict=True)
    }
    return {index: box for index, box in matched.items() if box is not None}


def best_match(boxes: Sequence[Floats], truth: Floats) -> Floats | None:
    """Return the box `(4,)` that overlaps the true one most (intersection over union), if
    any does."""
    shared = [overlap(box, truth) for box in boxes]
    if not shared or max(shared) < LEAST_OVERLAP:
        return None
    return boxes[int(np.argmax(shared))]


def _align(
    model: AlignmentPredictor,
    views: dict[int, FaceView],
    boxes: dict[int, Floats],
    looks: int,
    errors: Errors,
) -> None:
    if not boxes:
        return
    images = [views[index].image for index in boxes]
    results = model.align(images, [box[None] for box in boxes.values()], looks=looks)
    for index, (face,) in zip(boxes, results, strict=True):
        errors.enter(index, np.asarray(face.landmarks, np.float32), views[index].landmarks)
