"""Faces as found in a picture: places to look at, and what the landmark network saw there."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from handlers.predictors.alignment import Alignment
from handlers.predictors.detection.detector import Detection
from handlers.processing.arrays import Floats
from handlers.processing.boxes import suppress
from handlers.processing.landmarks import OUTER_EYE_CORNERS, bounding_box

SURE_TURNED = 0.8  # turned searches are many: some take shelves or leaves for faces
# From this roll on the detector misses faces upright; it finds them at a turn so near.
STEEP_DEG, NEAR_TURN_DEG = 30, 30
SAME_PLACE = 0.3  # the overlap from which two faces cannot both be there


@dataclass(frozen=True)
class FoundBox:
    """A place to look for a face: the box around its landmarks, the detector's score if any, and
    the angle by which the face is turned, clockwise as seen."""

    box: Floats
    score: float | None
    roll_rad: float = 0.0


@dataclass(frozen=True)
class FoundFace:
    """A face where it was looked for."""

    place: FoundBox
    alignment: Alignment

    @property
    def box(self) -> Floats:
        """The box of the face `(4,)`: where it was looked for. A turned face was looked for in the
        box that it would have upright; its own is around its landmarks.
        """
        if self.place.roll_rad and self.place.score is not None:
            return bounding_box(self.alignment.landmarks)
        return self.place.box

    @property
    def quality(self) -> float:
        """Quality in [0, 1] of the landmarks, by both networks' scores."""
        return self.alignment.quality(self.place.score)

    @property
    def is_credible(self) -> bool:
        """Whether a turned face is sure enough to be one."""
        return self.place.roll_rad == 0 or self.alignment.confidence >= SURE_TURNED


def stack_boxes(found: Sequence[FoundBox]) -> Floats:
    """Return the boxes of places, `(N, 4)`."""
    return np.asarray([face.box for face in found], np.float32).reshape(-1, 4)


def turned_places(found: Sequence[Detection]) -> list[FoundBox]:
    """Return detections as places to look at."""
    return [FoundBox(face.landmark_box, face.score, face.roll_rad) for face in found]


def join_faces(places: Sequence[FoundBox], faces: Sequence[Alignment]) -> list[FoundFace]:
    """Join places with what was seen there, in the same order."""
    return [FoundFace(*pair) for pair in zip(places, faces, strict=True)]


def best_at_each_place(faces: Sequence[FoundFace]) -> list[FoundFace]:
    """Keep the face of the best quality at each place, the best first."""
    if not faces:
        return []
    boxes = np.stack([bounding_box(face.alignment.landmarks) for face in faces])
    qualities = np.array([face.quality for face in faces], np.float32)
    return [faces[index] for index in suppress(boxes, qualities, SAME_PLACE, "smaller")]


def hints_at(turns_deg: Sequence[int], found: FoundFace) -> bool:
    """Tell whether a face is turned so far that others may be, at these turns."""
    first, last = found.alignment.landmarks[list(OUTER_EYE_CORNERS)]
    roll_deg = math.degrees(math.atan2(*(last - first)[::-1]))
    apart_deg = min(abs((roll_deg - turn + 180) % 360 - 180) for turn in turns_deg)
    return abs(roll_deg) > STEEP_DEG and apart_deg < NEAR_TURN_DEG
