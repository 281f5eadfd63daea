"""Faces of one step: which detection belongs to which, who is new, which of two yields.

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
- The id is **given up** where another person's face takes its place (see `changes`), where a lost
  face is found again at more than 2.5 times the size or less than its 2.5th part, which is somebody
  nearer or farther, and when it has been lost for more than `patience` frames in a row; it is never
  used again.
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

from handlers.predictors.alignment import LOOKS_AT_DETECTED, Alignment
from handlers.predictors.tracking.networks import Estimate
from handlers.predictors.tracking.options import BoxSource, TrackingOptions
from handlers.predictors.tracking.state import FaceState, Memory
from handlers.processing.boxes import overlap
from handlers.processing.landmarks import bounding_box

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

NEW = 0
OWN_RATIO = 0.5  # in diagonals: so near, a detection is of the face that is followed there
SAME_OVERLAP = 0.5  # from here on two faces are one
NEAR = 0.04  # of a side: too little for another look at X_t
GROWTH = 0.2  # of T_B, with every frame that the only face is lost
OTHER_SIZE = 2.5  # ratio of diagonals: a face found again is not so much nearer or farther
JUMP = 0.25  # in diagonals: more than a head moves between two frames
# A new face that the validator believes less than this is reported when the next frame confirms it.
SURE = 0.9
# Of the landmark network: of upright faces 1 in 100 is less sure, of meshes on turned ones all are.
SURE_UPRIGHT = 0.75
HALF_REJECTED = 0.2  # FV's answer from which on the landmark network's counts


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
    """Apply lines 3 to 10 of Algorithm 2 for every face of a session, then its new faces.

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
    """Pair faces and detections whose ratio of eq. 4.14 is below `t_b`, the smallest first."""
    # All pairs at once: a face must not take the detection that is nearer to another.
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
    """Return which of a session's faces, oldest first, yield to another.

    Their states are those before this frame, their boxes those of now.
    """

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
    """Return the last valid box, or b_0 where that has no size (lines 8 to 10)."""
    return face.box if has_size(face.box) else face.first_box


def has_size(box: Floats) -> bool:
    """Tell whether both sides measure at least a pixel."""
    return bool((box[2:] - box[:2] >= 1).all())


def is_near(box: Floats, other: Floats) -> bool:
    """Tell whether no edges of two boxes are apart by more than some hundredths of the first."""
    return bool(np.abs(box - other).max() <= NEAR * float((box[2:] - box[:2]).max()))


def diagonal(box: Floats) -> float:
    """Compute the magnitude of a box in eq. 2.8 and 4.14, in pixels."""
    return float(np.hypot(*(box[2:] - box[:2])))


def distance_ratio(box: Floats, other: Floats) -> float:
    """Compute the distance of two boxes' centres in diagonals of the larger one.

    Eq. 2.8 and 4.14 take the first one's: a box that had shrunk to nothing would never be left.
    """
    apart = (box[:2] + box[2:] - other[:2] - other[2:]) / 2
    return float(np.hypot(*apart)) / max(diagonal(box), diagonal(other), 1.0)


@dataclass
class Attempt:
    """A target and what the networks have made of it so far; it lives for one step.

    `frame` is uint8 RGB `(H, W, 3)`; `fresh` tells whether BT starts from h_0 (line 11 of
    Algorithm 2). `landmarks` `(68, 2)` are the best estimate yet, in pixels of the frame; `lost`
    is line 16. `alignment` is the landmark network's last answer. `view` `(2, 4)` are the windows
    of `view.lay`, `memory` what BT keeps for the next frame.
    """

    session: int
    frame: Image
    options: TrackingOptions
    target: Target
    fresh: bool
    lost: bool = False
    landmarks: Floats | None = None
    estimate: Estimate | None = None
    probability: float | None = None
    alignment: Alignment | None = None
    view: Floats | None = None
    memory: Memory | None = None

    @property
    def source(self) -> BoxSource:
        return self.options.variant.source

    @property
    def box(self) -> Floats:
        """Return the best estimate of the face's box yet: b_t^BT after BT, P_b before."""
        return self.target.box if self.landmarks is None else bounding_box(self.landmarks)

    @property
    def looks(self) -> int:
        """Count the looks of the landmark network: a detector's box is rougher than BT's."""
        rough = self.target.detected and self.source is not BoxSource.TRACKER
        return LOOKS_AT_DETECTED if rough else 1

    @property
    def final_box(self) -> Floats:
        """b_t, or without an estimate the last valid box; b_0 where that has no size.

        Where b_t is all but P_b, it is P_b: then X_t has been seen there, and is not once more.
        """
        if self.lost or not has_size(self.box):
            return sized_box(self.target.face)
        rests = self.source is BoxSource.TRACKER and is_near(self.target.box, self.box)
        return self.target.box if rests else self.box

    @property
    def is_of_other_size(self) -> bool:
        """Whether a lost face was found again at a size that tells somebody else."""
        if not (self.target.face.lost and self.target.detected):
            return False
        small, large = sorted(map(diagonal, (sized_box(self.target.face), self.target.box)))
        return large > OTHER_SIZE * small

    @property
    def is_vouched(self) -> bool:
        """Whether the landmark network is sure of a face that FV only half rejects, as it does the
        blurred ones: on what is no face it never is."""
        if self.alignment is None or self.probability is None:
            return False
        half = self.probability >= HALF_REJECTED
        return half and self.alignment.confidence >= SURE_UPRIGHT

    @property
    def is_doubtful(self) -> bool:
        """Whether the landmark network's look tells that there is no face, whatever FV says.

        Where a lost face was, without a detection, it must be sure that the face is back.
        """
        if self.alignment is None or not self.options.variant.validates:
            return False
        if self.target.face.lost and not self.target.detected:
            return self.alignment.confidence < SURE_UPRIGHT
        return self.alignment.quality(None) < self.options.min_quality

    @property
    def is_unsure(self) -> bool:
        """Whether this is a new face, accepted for the first time and without much conviction."""
        first = self.target.is_new and self.target.face.window == 0 and not self.lost
        return first and self.probability is not None and self.probability < SURE

    @property
    def is_dropped(self) -> bool:
        """Whether this was a new face that turned out to be none."""
        return self.lost and self.target.is_new
