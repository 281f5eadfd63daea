"""Where the landmark network looks for a face that is being followed, and when it looks elsewhere.

BT's landmarks give a window with the face upright in its middle, as a second look would have it.
They tremble a little, and a window that trembled with them would shake the landmarks of a face at
rest: the same pixels cut out half a pixel further give slightly other landmarks. So a window is
kept until the face has moved in it by more than it is trained to bear easily.
"""

import numpy as np
from numpy.typing import NDArray

from handlers.processing.boxes import Crop

Floats = NDArray[np.float32]

# How far a face may move, grow and turn in a window that is kept: shares of its side, radians.
SHIFT, SCALING, TURN = 0.04, 0.05, 0.06


def to_view(crop: Crop) -> Floats:
    """A window as the session keeps it, `(4,)`: centre x and y and side in pixels, radians."""
    return np.array([*crop.centre, crop.side, crop.angle_rad], np.float32)


def from_view(view: Floats, size: int) -> Crop:
    """The way back; `size` is the crop's in its own pixels."""
    x, y, side, angle = view.tolist()
    return Crop((x, y), side, size, angle)


def steady(view: Floats, kept: Floats | None) -> Floats:
    """The window kept from the frame before, or the new one where the face has left its middle."""
    if kept is None:
        return view
    moved = float(np.hypot(*(view[:2] - kept[:2]))) > SHIFT * float(kept[2])
    scaled = abs(float(np.log(view[2] / kept[2]))) > SCALING
    turned = abs(float(view[3] - kept[3])) > TURN
    return view if moved or scaled or turned else kept
