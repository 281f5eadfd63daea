"""The 68-point landmark scheme of iBUG 300-W: its regions, its mirror image, the box around it."""

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float32]

N_POINTS = 68

REGIONS: dict[str, slice] = {
    "jaw": slice(0, 17),
    "brows": slice(17, 27),
    "nose": slice(27, 36),
    "eyes": slice(36, 48),
    "lips": slice(48, 68),
}

OUTER_EYE_CORNERS = (36, 45)

# MIRROR[i] is the point that takes the place of point i when the picture is flipped left to right.
MIRROR: NDArray[np.int64] = np.array(
    [
        *range(16, -1, -1),
        *range(26, 16, -1),
        *range(27, 31),
        *range(35, 30, -1),
        *(45, 44, 43, 42, 47, 46),
        *(39, 38, 37, 36, 41, 40),
        *(54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55),
        *(64, 63, 62, 61, 60, 67, 66, 65),
    ]
)


def mirror(points: Points, width: float) -> Points:
    """Landmarks `(..., 68, 2)` of the picture flipped left to right; `width` in pixels.

    Two more points, the irises, may follow the 68.
    """
    order = MIRROR if points.shape[-2] == N_POINTS else [*MIRROR, N_POINTS + 1, N_POINTS]
    flipped = points[..., order, :].copy()
    flipped[..., 0] = width - 1 - flipped[..., 0]
    return flipped


def bounding_box(points: Points) -> NDArray[np.float32]:
    """The tight box `(x1, y1, x2, y2)` around landmarks `(68, 2)` (eq. 2.4, 4.5)."""
    box = np.empty(4, np.float32)
    box[:2], box[2:] = np.minimum.reduce(points), np.maximum.reduce(points)
    return box
