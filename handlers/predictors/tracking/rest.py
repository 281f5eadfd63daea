"""A face at rest: what is seen of it again and again through one window is brought together.

While the window is kept, two frames' landmarks are two looks at the same points, and their
difference is mostly the camera's noise. So each look is weighed with those before it, the more
the smaller the difference. A landmark that moves by a fiftieth of the face (a lid, a lip) is taken
as it is seen, and so is a face that moves as a whole by a tenth of that, which a tremor does; where
the window has moved, nothing is brought together. Unlike a filter over time it needs no clock and
follows motion beyond that at once; smaller motion arrives within a few frames.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

REST = 0.35  # the share of a new look that differs by nothing
OWN_MOTION, COMMON_MOTION = 0.02, 0.002  # shares of the face: from here on a look is taken whole


def settle(points: Floats, before: Floats) -> Floats:
    """Landmarks `(68, 2)` as seen now and as they were held before, in pixels of their frames."""
    size = max(float(np.sqrt(np.prod(np.ptp(before, axis=0)))), 1.0)
    common = np.median(points - before, axis=0)
    moved = before + _share(float(np.hypot(*common)) / size, COMMON_MOTION) * common
    rest = points - moved
    own = np.linalg.norm(rest, axis=1, keepdims=True) / size
    share = _share(np.asarray(own, np.float64), OWN_MOTION)
    return np.asarray(moved + share * rest, np.float32)


def _share(motion: float | Doubles, whole: float) -> Doubles:
    """How much of a motion, in shares of the face, is believed."""
    return np.asarray(REST + (1 - REST) * np.minimum((motion / whole) ** 2, 1), np.float64)
