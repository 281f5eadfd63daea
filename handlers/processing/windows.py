"""Windows on a face: upright ones by its landmarks, and how far one is off another."""

import math
from dataclasses import dataclass

import numpy as np

from handlers.processing.arrays import Floats
from handlers.processing.boxes import Crop


def upright_crop(landmarks: Floats, context: float, crop_px: int) -> Crop:
    """Return the crop of a face, `(68, 2)`, upright in its own box, `context` times as wide as
    that."""
    dx, dy = eye_line(landmarks).tolist()
    angle = math.atan2(dy, dx)
    cosine, sine = math.cos(angle), math.sin(angle)
    turned = landmarks @ np.array([[cosine, -sine], [sine, cosine]])
    (left, top), (right, bottom) = turned.min(axis=0).tolist(), turned.max(axis=0).tolist()
    x, y = (left + right) / 2, (top + bottom) / 2
    side = max(right - left, bottom - top, 1.0) * context
    return Crop((cosine * x - sine * y, sine * x + cosine * y), side, crop_px, angle)


def eye_line(landmarks: Floats) -> Floats:
    """Return the vector `(x, y)` from the middle of one eye to that of the other, left to right."""
    eyes = np.add.reduce(landmarks[36:48].reshape(2, 6, 2), axis=1)
    return np.asarray((eyes[1] - eyes[0]) / 6, np.float32)


@dataclass(frozen=True)
class Bounds:
    """Limits of how far off a face may be in a window: shares of its side, and radians."""

    shift: float
    scaling: float
    turn: float

    def hold(self, view: Floats, other: Floats) -> bool:
        """Tell whether one window is within these bounds of another."""
        x, y, scaling, turn = np.abs(between(view, other)).tolist()
        return bool(np.hypot(x, y) <= self.shift and scaling <= self.scaling and turn <= self.turn)


def to_view(crop: Crop) -> Floats:
    """Return a window as a session keeps it, `(4,)`: centre x and y and side in pixels, radians."""
    return np.array([*crop.centre, crop.side, crop.angle_rad], np.float32)


def from_view(view: Floats, size: int = 128) -> Crop:
    """Return the crop of a window; `size` is the crop's in its own pixels."""
    x, y, side, angle = view.tolist()
    return Crop((x, y), side, size, angle)


def between(view: Floats, other: Floats) -> Floats:
    """Compute the motion between windows: shift in sides of the first, log of scale, radians."""
    shift = (other[:2] - view[:2]) / view[2]
    # The shorter way round.
    turn = (other[3] - view[3] + np.pi) % (2 * np.pi) - np.pi
    return np.array([*shift, np.log(other[2] / view[2]), turn], np.float32)
