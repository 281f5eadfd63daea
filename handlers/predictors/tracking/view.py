"""The landmark network's window on a face that is followed, and when it looks again.

A window with the face upright in its middle is what the landmark network reads best. BT's landmarks
are rough, but what they are off by changes little from frame to frame: so BT says how the face has
*moved* since the window was laid, and the window moves with it. Two rules follow:

- A window is **kept** until the face has moved in it by more than a few hundredths. BT trembles a
  little, and a window that trembled with it would shake the landmarks of a face at rest: the same
  pixels cut out half a pixel further give slightly other landmarks.
- The landmarks found say where the face really is. Where that is a little off the window's middle,
  the next frame's window starts from there; where it is more, as after a jerk or a detection, the
  network **looks again** at once.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handlers.processing.boxes import Crop

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

REST = 0.35  # the share of a new look that differs by nothing
OWN_MOTION, COMMON_MOTION = 0.02, 0.002  # shares of the face: from here on a look is taken whole


@dataclass(frozen=True)
class Bounds:
    """Limits of how far off a face may be in a window: shares of its side, and radians."""

    shift: float
    scaling: float
    turn: float

    def hold(self, view: Floats, other: Floats) -> bool:
        """Whether one window is within these bounds of another."""
        x, y, scaling, turn = np.abs(between(view, other)).tolist()
        return bool(np.hypot(x, y) <= self.shift and scaling <= self.scaling and turn <= self.turn)


KEEP = Bounds(0.03, 0.04, 0.05)
LOOK_AGAIN = Bounds(0.04, 0.07, 0.09)


def to_view(crop: Crop) -> Floats:
    """A window as a session keeps it, `(4,)`: centre x and y and side in pixels, radians."""
    return np.array([*crop.centre, crop.side, crop.angle_rad], np.float32)


def from_view(view: Floats, size: int = 128) -> Crop:
    """The way back; `size` is the crop's in its own pixels."""
    x, y, side, angle = view.tolist()
    return Crop((x, y), side, size, angle)


def between(view: Floats, other: Floats) -> Floats:
    """The motion from one window to another: shift in sides of the first, log of scale, radians."""
    shift = (other[:2] - view[:2]) / view[2]
    turn = (other[3] - view[3] + np.pi) % (2 * np.pi) - np.pi
    return np.array([*shift, np.log(other[2] / view[2]), turn], np.float32)


def moved(view: Floats, motion: Floats) -> Floats:
    """A window after a motion."""
    centre = view[:2] + motion[:2] * view[2]
    return np.array([*centre, view[2] * np.exp(motion[2]), view[3] + motion[3]], np.float32)


def lay(guess: Floats, kept: Floats | None) -> Floats:
    """The windows of this frame `(2, 4)`: where to look, and BT's own when that was decided.

    `guess` `(4,)` is BT's window now, `kept` `(2, 4)` what this gave for the frame before.
    """
    if kept is None:
        return np.stack([guess, guess])
    if KEEP.hold(kept[1], guess):
        return kept
    return np.stack([moved(kept[0], between(kept[1], guess)), guess])


def anchor(view: Floats, own: Floats) -> Floats:
    """The windows `(2, 4)` that the next frame goes on from: `own` `(4,)` is the one that the
    landmarks found have themselves."""
    return view if KEEP.hold(view[0], own) else np.stack([own, view[1]])


def settle(points: Floats, before: Floats) -> Floats:
    """Landmarks `(68, 2)` as seen now and as they were held before, in pixels of their frames."""
    size = max(float(np.sqrt(np.prod(np.ptp(before, axis=0)))), 1.0)
    common = _median(points - before)
    moved = before + _share(float(np.hypot(*common)) / size, COMMON_MOTION) * common
    rest = points - moved
    own = np.linalg.norm(rest, axis=1, keepdims=True) / size
    share = _share(np.asarray(own, np.float64), OWN_MOTION)
    return np.asarray(moved + share * rest, np.float32)


def _median(values: Floats) -> Floats:
    """The median of each column, as np.median has it, in a third of its time."""
    ordered = np.sort(values, axis=0)
    middle = len(values) // 2
    return np.asarray(ordered[middle - 1 + len(values) % 2 : middle + 1].mean(axis=0), np.float32)


def _share(motion: float | Doubles, whole: float) -> Doubles:
    """Compute the share of a motion that is believed, the motion in shares of the face."""
    return np.asarray(REST + (1 - REST) * np.minimum((motion / whole) ** 2, 1), np.float64)
