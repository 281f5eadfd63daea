"""One step's result for a face, and what is remembered of it."""

import math
from dataclasses import dataclass, field, replace
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from handlers.predictors.alignment import Alignment
from handlers.predictors.tracking.attempt import Attempt
from handlers.predictors.tracking.identity import diagonal
from handlers.predictors.tracking.smoothing import smooth
from handlers.predictors.tracking.state import FaceState
from handlers.processing.landmarks import bounding_box

Floats = NDArray[np.float32]


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
    """Lines 15 to 21 of Algorithm 2: what is reported of a face and what is remembered."""
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
    """Line 16: no estimate; the last valid box is kept and the next frame asks the detector."""
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
