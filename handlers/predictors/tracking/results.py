"""One step's result for a face, what is remembered of it, and results of frames that were turned.

A session whose faces lie on their side or upside down is turned as a whole, by quarters, so that
all that follows a face finds it upright to 45 degrees. It is turned where a search finds a face so,
and upright again once nobody is left.
"""

import math
from dataclasses import dataclass, field, replace
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from handlers.predictors.alignment import Alignment
from handlers.predictors.tracking.attempt import Attempt, diagonal
from handlers.predictors.tracking.state import FaceState, smooth
from handlers.processing.landmarks import bounding_box

Floats = NDArray[np.float32]
Image = NDArray[np.uint8]

UPRIGHT = 0
QUARTERS = (1, 3, 2)  # clockwise, in the order in which they are tried
# The first search looks at every turn, the later ones at one of them so often: each turn is tried
# every other second.
TURNED_EVERY = 3
# A turned face is surer: shelves and leaves look like faces to some of many searches.
LEAST_QUALITY_TURNED = 0.6
# The detector finds some faces that lie on their side; followed so, they are lost again soon.
MOST_TURNED_COS = math.cos(math.radians(60))


class Status(Enum):
    """Why a face is where it is said to be.

    `tracking`: followed, or just found for the first time; `redetected`: found again by the
    detector after it had been lost; `lost`: no estimate in this frame, the box is the last valid
    one; `searching`: there is no face.
    """

    TRACKING = "tracking"
    REDETECTED = "redetected"
    LOST = "lost"
    SEARCHING = "searching"


@dataclass(frozen=True)
class TrackedFace:
    """One face in one frame.

    `box` float32 `(4,)` is tight around `landmarks` float32 `(68, 2)`, all in pixels of the
    frame; a lost face has its last valid box and no landmarks. `face_probability` is the
    validator's answer for this frame, None where it was not asked; `lost_probability`, on
    redetected, the answer that lost the face. `alignment` is what the landmark network said of the
    frame, None where it was not asked.
    """

    track_id: int
    status: Status
    box: Floats
    landmarks: Floats | None
    face_probability: float | None
    lost_probability: float | None
    alignment: Alignment | None = None


@dataclass(frozen=True)
class FrameResult:
    """The faces of one frame, oldest first; `step` counts the session's frames from 1.

    `timings_ms` are those of the whole batch that the frame was in; `searched` tells whether the
    detector looked for faces in it.
    """

    step: int
    faces: tuple[TrackedFace, ...]
    timings_ms: dict[str, float] = field(default_factory=dict, compare=False)
    searched: bool = True

    @property
    def status(self) -> Status:
        """The status of the oldest face, `searching` without one."""
        return self.faces[0].status if self.faces else Status.SEARCHING


def conclude(
    attempt: Attempt, track_id: int, time_s: float | None
) -> tuple[TrackedFace, FaceState]:
    """Apply lines 15 to 21 of Algorithm 2: what is reported of a face and what is remembered."""
    if attempt.lost or attempt.landmarks is None:
        return _lost(attempt)
    face = attempt.target.face
    state = replace(
        face,
        track_id=track_id,
        box=attempt.final_box,
        memory=attempt.memory,
        window=1 if attempt.fresh else face.window + 1,
        validated=face.validated + 1,
        lost=0,
        lost_probability=math.nan,
        smoothing=None,
        view=attempt.view,
        landmarks=None if attempt.view is None else attempt.landmarks,
        clean=attempt.alignment is not None and not attempt.alignment.denoised,
    )
    landmarks = attempt.landmarks
    if attempt.options.smoothing is not None and time_s is not None:
        landmarks, filtered = smooth(
            landmarks, time_s, diagonal(state.box), face.smoothing, attempt.options.smoothing
        )
        state = replace(state, smoothing=filtered)
    again = face.lost > 0 and attempt.target.detected
    shown = TrackedFace(
        track_id,
        Status.REDETECTED if again else Status.TRACKING,
        bounding_box(landmarks),
        landmarks,
        attempt.probability,
        face.lost_probability if again and not math.isnan(face.lost_probability) else None,
        attempt.alignment,
    )
    return shown, state


def _lost(attempt: Attempt) -> tuple[TrackedFace, FaceState]:
    """Apply line 16: no estimate; the last valid box is kept and the next frame asks the
    detector."""
    face, probability = attempt.target.face, attempt.probability
    cause = face.lost_probability
    if not face.lost and probability is not None:
        cause = probability
    state = replace(
        face,
        memory=attempt.memory,
        window=0,
        lost=face.lost + 1,
        lost_probability=cause,
        smoothing=None,
        view=None,
        landmarks=None,
    )
    shown = TrackedFace(face.track_id, Status.LOST, face.box, None, probability, None)
    return shown, state


def quarters_of(searches: int) -> tuple[int, ...]:
    """Return the turns that a search tries beside the frame as it is, counted from 0."""
    count, rest = divmod(searches, TURNED_EVERY)
    if searches == 0:
        return QUARTERS
    return () if rest else (QUARTERS[count % len(QUARTERS)],)


def is_upright(landmarks: Floats, quarters: int) -> bool:
    """Tell whether a face `(68, 2)` in pixels of the frame as it came is upright in the
    turned one."""
    across, down = landmarks[45] - landmarks[36]
    apart = math.atan2(down, across) - quarters * math.pi / 2
    return math.cos(apart) > MOST_TURNED_COS


def turned(frame: Image, quarters: int) -> Image:
    """Return a frame in which faces that are turned clockwise by so many quarters are upright."""
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
    """Return points `(N, 2)` of a turned frame in the frame as it came, `width` x `height`
    pixels."""
    x, y = points[:, 0], points[:, 1]
    back = {
        UPRIGHT: (x, y),
        1: (width - 1 - y, x),
        2: (width - 1 - x, height - 1 - y),
        3: (y, height - 1 - x),
    }
    return np.stack(back[quarters], axis=1).astype(np.float32)
