"""One face of one session on its way through the networks of one step."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handlers.predictors.alignment import LOOKS_AT_DETECTED, Alignment
from handlers.predictors.tracking.identity import Target, has_size, is_near, sized_box
from handlers.predictors.tracking.networks import Estimate
from handlers.predictors.tracking.options import BoxSource, TrackingOptions
from handlers.predictors.tracking.state import Memory
from handlers.processing.landmarks import bounding_box

# A new face that the validator believes less than this is reported when the next frame confirms it.
SURE = 0.9
# Of the landmark network: of upright faces 1 in 100 is less sure, of meshes on turned ones all are.
SURE_UPRIGHT = 0.75
HALF_REJECTED = 0.2  # FV's answer from which on the landmark network's counts

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]


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
