"""Which detection belongs to which face, who is new, and which of two tracks yields.

The rule for `track_id`:

- A face is **new** where the detector finds one that no face of the session accounts for, while
  there are fewer than `max_faces`. It gets the session's next number as soon as the validator
  accepts it with conviction, or twice in a row; before that it is not reported.
- The id is **kept** while the face is followed, and through frames without an estimate: a lost
  face waits at its last valid box for a detection within T_B diagonals of it (eq. 2.8, 4.14), so
  one that leaves and comes back in time is the same. The nearest pair of a lost face and a
  detection goes first; the one nearest to a face that is being followed is nobody else's. Where a
  session follows one face only, T_B grows by a fifth with every frame that it is lost: it may have
  gone on moving, or what was followed last may not have been it.
- The id is **given up** where another person's face takes its place (see `likeness`), and when the
  face has been lost for more than `patience` frames in a row; it is never used again.
- Where two followed faces overlap by more than half, they are one, and one of them is lost in this
  frame: the one that was lost before; else the one that has jumped here, by more than a quarter
  of its diagonal; else the one with fewer validated frames, of equals the newer. If it was only
  covered by the other, it is found beside it again under its own number; if both were the same
  face, nothing is left for it to find and it is given up.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handlers.predictors.tracking.options import BoxSource, TrackingOptions
from handlers.predictors.tracking.state import FaceState
from handlers.processing.boxes import overlap

Floats = NDArray[np.float32]

NEW = 0
OWN_RATIO = 0.5
SAME_OVERLAP = 0.5
NEAR = 0.04
GROWTH = 0.2
JUMP = 0.25


@dataclass(frozen=True)
class Target:
    """A face and where to look for it: P_b, and whether that is an accepted detection."""

    face: FaceState
    box: Floats
    detected: bool

    @property
    def is_new(self) -> bool:
        return self.face.track_id == NEW


def plan(
    faces: Sequence[FaceState], detections: Sequence[Floats], options: TrackingOptions, t_b: float
) -> list[Target]:
    """Lines 3 to 10 of Algorithm 2 for every face of a session, then its new faces.

    `detections` are landmark boxes `(4,)`, the most prominent first; none where the detector did
    not run.
    """
    every_frame = options.variant.source is BoxSource.DETECTOR
    seeking = [index for index, face in enumerate(faces) if every_frame or face.lost]
    followed = [face.box for index, face in enumerate(faces) if index not in seeking]
    owned = nearest(followed, detections, OWN_RATIO).values()
    free = [box for index, box in enumerate(detections) if index not in owned]
    reach = t_b
    if options.max_faces == 1 and seeking:
        reach *= 1 + GROWTH * faces[seeking[0]].lost
    found = nearest([faces[index].box for index in seeking], free, reach)
    accepted = {seeking[face]: free[detection] for face, detection in found.items()}
    targets = [
        Target(face, accepted.get(index, sized_box(face)), index in accepted)
        for index, face in enumerate(faces)
    ]
    unknown = [box for index, box in enumerate(free) if index not in found.values()]
    places = max(options.max_faces - len(faces), 0)
    return targets + [Target(FaceState(NEW, box, box), box, True) for box in unknown[:places]]


def nearest(faces: Sequence[Floats], detections: Sequence[Floats], t_b: float) -> dict[int, int]:
    """Pairs of face and detection whose ratio of eq. 4.14 is below `t_b`, the smallest first."""
    ratios = sorted(
        (distance_ratio(face, detection), i, j)
        for i, face in enumerate(faces)
        for j, detection in enumerate(detections)
    )
    pairs: dict[int, int] = {}
    for ratio, face, detection in ratios:
        if ratio < t_b and face not in pairs and detection not in pairs.values():
            pairs[face] = detection
    return pairs


def duplicates(faces: Sequence[FaceState], boxes: Sequence[Floats]) -> set[int]:
    """Which of a session's faces, oldest first, yield to another: their states as they were before
    this frame, and the boxes where they are now."""

    def strength(index: int) -> tuple[bool, bool, int]:
        face, now = faces[index], boxes[index]
        return face.lost > 0, distance_ratio(face.box, now) > JUMP, -face.validated

    order = sorted(range(len(boxes)), key=strength)
    kept: list[int] = []
    for index in order:
        if not any(overlap(boxes[index], boxes[other]) > SAME_OVERLAP for other in kept):
            kept.append(index)
    return set(order) - set(kept)


def sized_box(face: FaceState) -> Floats:
    """The last valid box, or b_0 where that has no size (lines 8 to 10)."""
    return face.box if has_size(face.box) else face.first_box


def has_size(box: Floats) -> bool:
    """Whether both sides measure at least a pixel."""
    return bool((box[2:] - box[:2] >= 1).all())


def is_near(box: Floats, other: Floats) -> bool:
    """Whether no edge of two boxes is apart by more than a few hundredths of the first's side."""
    return bool(np.abs(box - other).max() <= NEAR * float((box[2:] - box[:2]).max()))


def diagonal(box: Floats) -> float:
    """The magnitude of a box in eq. 2.8 and 4.14, in pixels."""
    return float(np.hypot(*(box[2:] - box[:2])))


def distance_ratio(box: Floats, other: Floats) -> float:
    """The distance of two boxes' centres in diagonals of the larger one.

    Eq. 2.8 and 4.14 take the first one's: a box that had shrunk to nothing would never be left.
    """
    apart = (box[:2] + box[2:] - other[:2] - other[2:]) / 2
    return float(np.hypot(*apart)) / max(diagonal(box), diagonal(other), 1.0)
