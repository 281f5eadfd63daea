"""Sessions whose faces lie on their side or upside down: their frames are looked at turned.

A session is turned as a whole, by quarters, so that all that follows a face finds it upright to 45
degrees. It is turned where a search finds a face so, and upright again once nobody is left.
"""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from handlers.predictors.tracking.results import FrameResult, TrackedFace

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

UPRIGHT = 0
QUARTERS = (1, 3, 2)  # clockwise, in the order in which they are tried
# The first search looks at every turn, the later ones at one of them so often: each turn is tried
# every other second.
TURNED_EVERY = 3
# A turned face is surer: shelves and leaves look like faces to some of many searches.
LEAST_QUALITY_TURNED = 0.6
# The detector finds some faces that lie on their side; followed so, they are lost again soon.
MOST_TURNED_COS = math.cos(math.radians(60))


def quarters_of(searches: int) -> tuple[int, ...]:
    """The turns that a search tries beside the frame as it is, counted from 0."""
    count, rest = divmod(searches, TURNED_EVERY)
    if searches == 0:
        return QUARTERS
    return () if rest else (QUARTERS[count % len(QUARTERS)],)


def is_upright(landmarks: Floats, quarters: int) -> bool:
    """Whether a face `(68, 2)` in pixels of the frame as it came is upright in the turned one."""
    across, down = landmarks[45] - landmarks[36]
    apart = math.atan2(down, across) - quarters * math.pi / 2
    return math.cos(apart) > MOST_TURNED_COS


def turned(frame: Image, quarters: int) -> Image:
    """A frame in which faces that are turned clockwise by so many quarters are upright."""
    return frame if quarters == UPRIGHT else np.ascontiguousarray(np.rot90(frame, quarters))


def turned_back(result: FrameResult, quarters: int, frame: Image) -> FrameResult:
    """Carry the results of a turned frame into pixels of the frame as it came."""
    if quarters == UPRIGHT:
        return result
    height, width = frame.shape[:2]
    faces = tuple(_turned_back(face, quarters, width, height) for face in result.faces)
    return replace(result, faces=faces)


def _turned_back(face: TrackedFace, quarters: int, width: int, height: int) -> TrackedFace:
    corners = points_back(face.box.reshape(2, 2), quarters, width, height)
    box = np.concatenate([corners.min(axis=0), corners.max(axis=0)])
    if face.landmarks is None:
        return replace(face, box=box)
    return replace(face, box=box, landmarks=points_back(face.landmarks, quarters, width, height))


def points_back(points: Floats, quarters: int, width: int, height: int) -> Floats:
    """Points `(N, 2)` of a turned frame in the frame as it came, `width` x `height` pixels."""
    x, y = points[:, 0], points[:, 1]
    back = {
        UPRIGHT: (x, y),
        1: (width - 1 - y, x),
        2: (width - 1 - x, height - 1 - y),
        3: (y, height - 1 - x),
    }
    return np.stack(back[quarters], axis=1).astype(np.float32)
