"""Faces that lie on their side or upside down: pictures turned, searched, and turned back."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from handlers.predictors.detection.detector import Detection, FaceDetector, Hint
from handlers.predictors.detection.proposals import CELL_PX
from handlers.processing.boxes import Crop, suppress

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

# Clockwise. A detector finds faces up to some 40 degrees on their side: these leave no roll out.
# The first group finds most, the second the faces between.
TURNS_DEG = ((90, 270, 180), (45, 315, 135, 225))
LONGEST_PX = 640  # a turned picture has no longer side
MOST_FACES = 64
# A hint's window: so many times its box, so many pixels, of so many hints.
HINT_CONTEXT, HINT_PX, MOST_HINTS = 2.0, 128, 16
SAME_FACE = 0.4  # the overlap from which detections at two turns are of one face


def search_turned(
    detector: FaceDetector, image: Image, min_face_px: int, turns_deg: Sequence[int]
) -> list[Detection]:
    """Faces of a picture `(H, W, 3)` uint8 RGB that are turned by some of `turns_deg`, best first.

    A large picture is shrunk, so faces below some 5 % of its longer side can be missed.
    """
    windows = [window(image, turn) for turn in turns_deg]
    smallest = max(round(min_face_px * windows[0].scale), CELL_PX)
    seen = detector.detect([one.extract(image) for one in windows], smallest, MOST_FACES)
    turned = zip(seen, windows, strict=True)
    return surest([turn_back(face, one) for faces, one in turned for face in faces])


def search_hints(detector: FaceDetector, image: Image, hints: Sequence[Hint]) -> list[Detection]:
    """The turned faces at places of a picture `(H, W, 3)` uint8 RGB where some may be."""
    windows = [
        Crop.around(hint.box, HINT_CONTEXT, HINT_PX, math.radians(hint.turn_deg))
        for hint in hints[:MOST_HINTS]
    ]
    seen = detector.detect([one.extract(image) for one in windows], HINT_PX // 4, 1)
    turned = zip(seen, windows, strict=True)
    return surest([turn_back(face, one) for faces, one in turned for face in faces])


def window(image: Image, turn_deg: int) -> Crop:
    """The square window about a picture in which faces of that roll are upright."""
    height, width = image.shape[:2]
    side = max(height, width) if turn_deg % 90 == 0 else math.hypot(height, width)
    size = max(round(min(side, LONGEST_PX)), CELL_PX)
    return Crop(((width - 1) / 2, (height - 1) / 2), side, size, math.radians(turn_deg))


def turn_back(face: Detection, seen_in: Crop) -> Detection:
    """A face of a window as one of its picture."""
    return replace(
        face,
        box=_carry(face.box, seen_in),
        points=seen_in.from_crop(face.points),
        landmark_box=_carry(face.landmark_box, seen_in),
        roll_rad=seen_in.angle_rad,
    )


def surest(faces: Sequence[Detection]) -> list[Detection]:
    """Of detections of the same face at several turns the one with the best score."""
    if not faces:
        return []
    boxes = np.stack([face.landmark_box for face in faces])
    scores = np.array([face.score for face in faces], np.float32)
    return [faces[index] for index in suppress(boxes, scores, SAME_FACE)]


def _carry(box: Floats, seen_in: Crop) -> Floats:
    """A box of the window, upright about its own middle in the picture."""
    middle = seen_in.from_crop(np.asarray((box[:2] + box[2:]) / 2, np.float32))
    half = (box[2:] - box[:2]) / 2 / np.float32(seen_in.scale)
    return np.concatenate([middle - half, middle + half]).astype(np.float32)
