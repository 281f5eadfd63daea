"""Pictures to faces, also to those that lie on their side or upside down."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from handlers.engines.base import Engine
from handlers.predictors.detection.cascade import Candidates, Cascade, CascadeSettings
from handlers.predictors.detection.proposals import (
    CELL_PX,
    LandmarkBoxMap,
    searched_face_px,
    shrink,
    working_scale,
)
from handlers.processing.boxes import Crop, box_areas, suppress

Picture = NDArray[np.float32]
Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

DARK = 100.0  # a picture is dark when 99 % of its values lie below
SURELY_LIT = 0.02  # of the values: counting them takes a tenth of the time of a percentile
BRIGHT = 250.0  # where that value is moved to
MOST_GAIN = 8.0
SAMPLE_STEP = 4
LEAST_CONTRAST = 4.0  # between the values of a picture that shows anything
SMOOTHING_PX = 1.5
MIN_FACE_PX = 40  # the smallest face that is looked for, unless told otherwise
SLACK = 0.75  # a box of this share of the smallest face is still reported
# Clockwise. A detector finds faces up to some 40 degrees on their side: these leave no roll out.
# The first group finds most, the second the faces between.
TURNS_DEG = ((90, 270, 180), (45, 315, 135, 225))
LONGEST_PX = 640  # a turned picture has no longer side
MOST_FACES = 64
# A hint's window: so many times its box, so many pixels, of so many hints.
HINT_CONTEXT, HINT_PX, MOST_HINTS = 2.0, 128, 16
SAME_FACE = 0.4  # the overlap from which detections at two turns are of one face


def prepare(image: Image, scale: float) -> Picture:
    """Return a picture `(H, W, 3)` uint8 as float32 on [0, 255], `scale` (at most 1) times its
    size."""
    if scale < 1:
        height, width = image.shape[:2]
        image = shrink(image, max(int(width * scale), 1), max(int(height * scale), 1))
    return brighten(image.astype(np.float32))


def brighten(picture: Picture) -> Picture:
    """Raise the exposure of a dark picture, in place."""
    sample = picture[::SAMPLE_STEP, ::SAMPLE_STEP]
    if np.count_nonzero(sample > DARK) > SURELY_LIT * sample.size:
        return picture
    level = float(np.percentile(sample, 99))
    if level >= DARK:
        return picture
    gain = min(BRIGHT / max(level, 1.0), MOST_GAIN)
    picture *= np.float32(gain)
    return np.minimum(picture, np.float32(255), out=picture)


def shows_something(picture: Picture) -> bool:
    """Tell whether a picture is of more than one colour."""
    sample = picture[::SAMPLE_STEP, ::SAMPLE_STEP]
    return bool((np.ptp(sample, axis=(0, 1)) >= LEAST_CONTRAST).any())


def smooth(picture: Picture) -> Picture:
    """Return a picture with its pixel noise averaged away in place, and its finest detail
    with it."""
    cv2.GaussianBlur(picture, (0, 0), SMOOTHING_PX, dst=picture)
    return picture


@dataclass(frozen=True)
class Detection:
    """One face, in pixels of the picture; it may reach beyond the border as the face does.

    `box` (4,) `(x1, y1, x2, y2)` holds the face from forehead to chin, `score` is in [0, 1],
    `points` (5, 2) `(x, y)` are the eyes, the nose and the corners of the mouth, of each pair the
    left one in the picture first; `landmark_box` (4,) is where the tight box around the 68
    landmarks should lie. Of a face turned by `roll_rad`, clockwise as seen, the boxes are those of
    the upright face with the same middle.
    """

    box: Floats
    score: float
    points: Floats
    landmark_box: Floats
    roll_rad: float = 0.0


@dataclass(frozen=True)
class Hint:
    """A square place `(4,)`, in pixels of the picture, where a face may be turned so far."""

    box: Floats
    turn_deg: int


@dataclass(frozen=True)
class DetectorBounds:
    """Bounds that keep a large picture affordable: pixels of the picture worked on, and of the
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
    def from_config(cls, engine: Engine, config: Mapping[str, Any]) -> "FaceDetector":
        """Build the detector of a checkpoint: its networks, and its configuration.

        Raises KeyError or TypeError for a setting that is missing or unknown.
        """
        cascade = Cascade(engine, CascadeSettings(**config["cascade"]))
        landmark_box = LandmarkBoxMap(np.asarray(config["landmark_box"]["weights"], np.float32))
        return cls(cascade, DetectorBounds(**config["bounds"]), landmark_box)

    def detect(
        self, images: Sequence[Image], min_face_px: int = MIN_FACE_PX, max_faces: int = 64
    ) -> list[list[Detection]]:
        """Find faces of pictures `(H, W, 3)` uint8 RGB, the most prominent (score times area)
        first.

        `min_face_px` is the longer side of the smallest box that is searched for; a box that turns
        out up to a quarter smaller is reported too. In a picture beyond the configured bounds the
        search starts at larger faces. A dark picture is brightened first, and one that seems to
        have no face is looked at again, smoothed. Pictures of one size share batches. A picture
        with a side below 12 pixels has no faces.

        Raises ValueError for a picture of another shape or type and for `min_face_px` below 12.
        """
        return [faces[:max_faces] for faces, _ in self._detect(images, min_face_px, hinted=False)]

    def detect_hinted(
        self, images: Sequence[Image], min_face_px: int = MIN_FACE_PX, max_faces: int = 64
    ) -> list[tuple[list[Detection], list[Hint]]]:
        """Find the same, with places beside the faces of each picture where one may be turned."""
        found = self._detect(images, min_face_px, hinted=True)
        return [(faces[:max_faces], hints) for faces, hints in found]

    def _detect(
        self, images: Sequence[Image], min_face_px: int, hinted: bool
    ) -> list[tuple[list[Detection], list[Hint]]]:
        if min_face_px < CELL_PX:
            raise ValueError(f"min_face_px is {min_face_px}; it must be at least {CELL_PX}")
        for image in images:
            _check(image)
        faces: dict[int, tuple[list[Detection], list[Hint]]] = {}
        for indices in _same_size(images):
            alike = [images[index] for index in indices]
            found = self._detect_alike(alike, min_face_px, hinted)
            faces.update(zip(indices, found, strict=True))
        return [faces[index] for index in range(len(images))]

    def _detect_alike(
        self, images: list[Image], min_face_px: float, hinted: bool
    ) -> list[tuple[list[Detection], list[Hint]]]:
        """Find faces and hints in pictures that all have one size."""
        height, width = images[0].shape[:2]
        if min(height, width) < CELL_PX:
            return [([], []) for _ in images]
        smallest = searched_face_px(height, width, min_face_px, self._bounds.max_level_px)
        scale = working_scale(height, width, self._bounds.max_picture_px)
        pictures = [prepare(image, scale) for image in images]
        if not any(map(shows_something, pictures)):
            return [([], []) for _ in images]
        found, hints = self._search(pictures, max(smallest * scale, CELL_PX), hinted)
        return [
            (self._in_order(one, scale, min_face_px), _scaled(turned, scale))
            for one, turned in zip(found, hints, strict=True)
        ]

    def _search(
        self, pictures: list[Floats], min_face_px: float, hinted: bool
    ) -> tuple[list[Candidates], list[dict[int, Candidates]]]:
        """Look at each picture, and where nothing is found a second time, smoothed."""
        if hinted:
            found, hints = self._cascade.run_hinted(pictures, min_face_px)
        else:
            found, hints = self._cascade.run(pictures, min_face_px), [{} for _ in pictures]
        empty = [index for index, one in enumerate(found) if not len(one.scores)]
        if empty:
            again = self._cascade.run([smooth(pictures[index]) for index in empty], min_face_px)
            for index, one in zip(empty, again, strict=True):
                found[index] = one
        return found, hints

    def _in_order(self, found: Candidates, scale: float, min_face_px: float) -> list[Detection]:
        """Return detections in pixels of the whole picture, without boxes that are empty or too
        small."""
        sides = (found.boxes[:, 2:] - found.boxes[:, :2]) / scale
        found = found.take((sides.min(axis=1) > 0) & (sides.max(axis=1) >= min_face_px * SLACK))
        boxes, points = found.boxes / np.float32(scale), found.points / np.float32(scale)
        landmark_boxes = self._landmark_box.predict(boxes, points)
        return [
            Detection(boxes[i], float(found.scores[i]), points[i], landmark_boxes[i])
            # Stable: equal faces keep their order on every machine.
            for i in np.argsort(-found.scores * box_areas(boxes), kind="stable")
        ]


def _scaled(turned: Mapping[int, Candidates], scale: float) -> list[Hint]:
    return [
        Hint(box / np.float32(scale), 90 * quarter)
        for quarter, places in turned.items()
        for box in places.boxes
    ]


def _same_size(images: Sequence[Image]) -> Iterable[list[int]]:
    """Group the indices of pictures by their sizes."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for index, image in enumerate(images):
        groups.setdefault(image.shape, []).append(index)
    return groups.values()


def _check(image: Image) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"a picture is uint8 (H, W, 3), not {image.dtype} {image.shape}")


def search_turned(
    detector: FaceDetector, image: Image, min_face_px: int, turns_deg: Sequence[int]
) -> list[Detection]:
    """Find faces of a picture `(H, W, 3)` uint8 RGB that are turned by some of `turns_deg`, best
    first.

    A large picture is shrunk, so faces below some 5 % of its longer side can be missed.
    """
    windows = [window(image, turn) for turn in turns_deg]
    smallest = max(round(min_face_px * windows[0].scale), CELL_PX)
    seen = detector.detect([one.extract(image) for one in windows], smallest, MOST_FACES)
    turned = zip(seen, windows, strict=True)
    return surest([turn_back(face, one) for faces, one in turned for face in faces])


def search_hints(detector: FaceDetector, image: Image, hints: Sequence[Hint]) -> list[Detection]:
    """Find the turned faces at places of a picture `(H, W, 3)` uint8 RGB where some may be."""
    windows = [
        Crop.around(hint.box, HINT_CONTEXT, HINT_PX, math.radians(hint.turn_deg))
        for hint in hints[:MOST_HINTS]
    ]
    seen = detector.detect([one.extract(image) for one in windows], HINT_PX // 4, 1)
    turned = zip(seen, windows, strict=True)
    return surest([turn_back(face, one) for faces, one in turned for face in faces])


def window(image: Image, turn_deg: int) -> Crop:
    """Return the square window about a picture in which faces of that roll are upright."""
    height, width = image.shape[:2]
    side = max(height, width) if turn_deg % 90 == 0 else math.hypot(height, width)
    size = max(round(min(side, LONGEST_PX)), CELL_PX)
    return Crop(((width - 1) / 2, (height - 1) / 2), side, size, math.radians(turn_deg))


def turn_back(face: Detection, seen_in: Crop) -> Detection:
    """Bring a face of a window to its picture."""
    return replace(
        face,
        box=_carry(face.box, seen_in),
        points=seen_in.from_crop(face.points),
        landmark_box=_carry(face.landmark_box, seen_in),
        roll_rad=seen_in.angle_rad,
    )


def surest(faces: Sequence[Detection]) -> list[Detection]:
    """Keep the best detection of each face that was found at several turns."""
    if not faces:
        return []
    boxes = np.stack([face.landmark_box for face in faces])
    scores = np.array([face.score for face in faces], np.float32)
    return [faces[index] for index in suppress(boxes, scores, SAME_FACE)]


def _carry(box: Floats, seen_in: Crop) -> Floats:
    """Bring a box of the window to the picture, upright about its own middle there."""
    middle = seen_in.from_crop(np.asarray((box[:2] + box[2:]) / 2, np.float32))
    half = (box[2:] - box[:2]) / 2 / np.float32(seen_in.scale)
    return np.concatenate([middle - half, middle + half]).astype(np.float32)
