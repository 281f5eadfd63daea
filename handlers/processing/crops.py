"""Crops of pictures <-> what networks are shown of them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

CROP_PX = 128
HALF_RANGE = np.float32(127.5)


def to_input(crops: Sequence[Image]) -> Floats:
    """Crops `(S, S, 3)` uint8 RGB -> `(B, 3, S, S)` float32 in [-1, 1]."""
    stacked = np.stack(crops).transpose(0, 3, 1, 2).astype(np.float32, order="C")
    stacked /= HALF_RANGE
    stacked -= 1
    return stacked


def to_image(crop: Floats) -> Image:
    """A crop `(3, S, S)` in [-1, 1] as uint8 RGB `(S, S, 3)`."""
    scaled = np.rint(crop.transpose(1, 2, 0) * HALF_RANGE + HALF_RANGE)
    return np.asarray(np.clip(scaled, 0, 255), np.uint8)
