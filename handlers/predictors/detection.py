"""Pictures to faces."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from handlers.predictors.cascade import Candidates, Cascade, CascadeSettings
from handlers.processing.landmark_box import LandmarkBoxMap
from handlers.processing.nms import box_areas
from handlers.processing.proposals import CELL_PX, searched_face_px, shrink, working_scale

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Detection:
    """One face, in pixels of the picture; it may reach beyond the border as the face does.

    `box` (4,) `(x1, y1, x2, y2)` holds the face from forehead to chin, `score` is in [0, 1],
    `points` (5, 2) `(x, y)` are the eyes, the nose and the corners of the mouth, of each pair the
    left one in the picture first; `landmark_box` (4,) is where the tight box around the 68
    landmarks should lie.
    """

    box: Floats
    score: float
    points: Floats
    landmark_box: Floats


@dataclass(frozen=True)
class DetectorBounds:
    """What keeps a large picture affordable: pixels of the picture that is worked on, and of the
    largest level of its pyramid."""

    max_picture_px: int
    max_level_px: int


class FaceDetector:
    """Finds the faces of pictures; holds nothing between calls."""

    def __init__(
        self, cascade: Cascade, bounds: DetectorBounds, landmark_box: LandmarkBoxMap
    ) -> None:
        self._cascade = cascade
        self._bounds = bounds
        self._landmark_box = landmark_box

    @classmethod
    def from_config(
        cls, network: nn.Module, config: Mapping[str, Any], device: str = "cpu"
    ) -> "FaceDetector":
        """The detector of a checkpoint: its network with its weights, and its configuration.

        Raises KeyError or TypeError for a setting that is missing or unknown.
        """
        cascade = Cascade(network, CascadeSettings(**config["cascade"]), device)
        landmark_box = LandmarkBoxMap(np.asarray(config["landmark_box"]["weights"], np.float32))
        return cls(cascade, DetectorBounds(**config["bounds"]), landmark_box)

    def detect(
        self, images: Sequence[Image], min_face_px: int = 40, max_faces: int = 64
    ) -> list[list[Detection]]:
        """Faces of pictures `(H, W, 3)` uint8 RGB, the most prominent (score times area) first.

        `min_face_px` is the side of the smallest box that is searched for; in a picture beyond
        the configured bounds it grows with the picture. Pictures of one size share batches. A
        picture with a side below 12 pixels has no faces.

        Raises ValueError for a picture of another shape or type and for `min_face_px` below 12.
        """
        if min_face_px < CELL_PX:
            raise ValueError(f"min_face_px is {min_face_px}; it must be at least {CELL_PX}")
        for image in images:
            _check(image)
        faces: dict[int, list[Detection]] = {}
        for indices in _same_size(images):
            found = self._detect_alike([images[index] for index in indices], min_face_px)
            faces.update(zip(indices, found, strict=True))
        return [faces[index][:max_faces] for index in range(len(images))]

    def _detect_alike(self, images: list[Image], min_face_px: float) -> list[list[Detection]]:
        """Faces of pictures that all have one size."""
        height, width = images[0].shape[:2]
        if min(height, width) < CELL_PX:
            return [[] for _ in images]
        smallest = searched_face_px(height, width, min_face_px, self._bounds.max_level_px)
        scale = working_scale(height, width, self._bounds.max_picture_px)
        pictures = [_prepare(image, scale) for image in images]
        found = self._cascade.run(pictures, max(smallest * scale, CELL_PX))
        return [self._in_order(one, scale) for one in found]

    def _in_order(self, found: Candidates, scale: float) -> list[Detection]:
        found = found.take(box_areas(found.boxes) > 0)
        boxes, points = found.boxes / np.float32(scale), found.points / np.float32(scale)
        landmark_boxes = self._landmark_box.predict(boxes, points)
        return [
            Detection(boxes[i], float(found.scores[i]), points[i], landmark_boxes[i])
            for i in np.argsort(-found.scores * box_areas(boxes), kind="stable")
        ]


def _prepare(image: Image, scale: float) -> Floats:
    """The picture that is worked on: `scale` times the size, not rounded to whole values."""
    if scale < 1:
        height, width = image.shape[:2]
        image = shrink(image, max(int(width * scale), 1), max(int(height * scale), 1))
    return image.astype(np.float32)


def _same_size(images: Sequence[Image]) -> Iterable[list[int]]:
    """Indices of the pictures, those of one size together."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for index, image in enumerate(images):
        groups.setdefault(image.shape, []).append(index)
    return groups.values()


def _check(image: Image) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"a picture is uint8 (H, W, 3), not {image.dtype} {image.shape}")
