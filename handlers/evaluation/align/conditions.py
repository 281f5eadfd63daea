"""A face and a degradation to the picture that a predictor gets to see, and its true landmarks.

Section 3.4.1 and appendix B: to mean the same on every picture, degradations act on a picture
resized until the face's landmark box measures 128 pixels (the root of its area).
"""

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from handlers.evaluation.metrics import box_size
from handlers.processing.degradations import LEVELS, REFERENCE_FACE_PX, degrade

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

LONGEST_SIDE_PX = 4096  # a picture is not blown up beyond this for the sake of a tiny face


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
    """A picture as its annotators saw it: RGB, any EXIF orientation ignored.

    Raises ValueError if it cannot be decoded.
    """
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    pixels = cv2.imread(str(path), flags)
    if pixels is None:
        raise ValueError(f"{path}: no picture that can be decoded")
    return FaceView(np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8), landmarks)


def apply(view: FaceView, condition: Condition, rng: np.random.Generator) -> FaceView:
    """The view under a condition: as it is, or resized to a 128-pixel face and degraded."""
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
