"""Frames and boxes to what BT and FV say of them: crops in, picture pixels out, in batches."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from handlers.engines.base import Engine, carried, zeros
from handlers.predictors.tracking.state import Memory
from handlers.processing.boxes import CROP_PX, Crop, to_input
from handlers.processing.landmarks import bounding_box

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

MAX_BATCH = 32
# Parts of a tracking model.
FEATURES, STEP, VALIDATE = "features", "step", "validate"


class View(NamedTuple):
    """A frame, uint8 RGB `(H, W, 3)`, and the landmark box `(4,)` in it that is looked at."""

    frame: Image
    box: Floats


class Recall(NamedTuple):
    """BT's start of a step: its LSTM state, or None for h_0, and the features of X_{t-1},
    or None where X_t's crop stands for both."""

    state: Memory | None
    features: Floats | None


class Estimate(NamedTuple):
    """BT's landmarks `(68, 2)` in pixels of the frame, its state and X_t's features at P_b."""

    points: Floats
    state: Memory
    features: Floats


class TrackingNetworks:
    """BT and FV behind their engines; holds nothing of any face."""

    def __init__(self, tracker: Engine, validator: Engine, contexts: tuple[float, float]) -> None:
        """Take `contexts`, which widen a landmark box to the crops of BT and of FV."""
        self.tracker, self.validator = tracker, validator
        self.tracker_context, self.validator_context = contexts

    def remember(self, views: Sequence[View]) -> list[Floats]:
        """Return features `(F,)` of every view, as the next step needs them of the frame before."""
        if not views:
            return []
        crops = [Crop.around(view.box, self.tracker_context, CROP_PX) for view in views]
        return [features.copy() for features in self._features(views, crops)]

    def estimate(self, views: Sequence[View], recalls: Sequence[Recall]) -> list[Estimate]:
        """Apply lines 11 to 13 of Algorithm 2: one step of BT, faces of all sessions in one
        batch."""
        if not views:
            return []
        crops = [Crop.around(view.box, self.tracker_context, CROP_PX) for view in views]
        now = self._features(views, crops)
        kept = [recall.features for recall in recalls]
        before = np.stack([own if old is None else old for own, old in zip(now, kept, strict=True)])
        found = self.tracker.run(STEP, now=now, before=before, **self._states(recalls))
        state = carried(found)
        return [
            Estimate(
                crop.from_crop(found["points"][row]),
                {name: one[row].copy() for name, one in state.items()},
                now[row].copy(),
            )
            for row, crop in enumerate(crops)
        ]

    def validate(self, frames: Sequence[Image], landmarks: Sequence[Floats]) -> list[float]:
        """Apply line 15: the probability that landmarks `(68, 2)` in frame pixels lie on a face."""
        if not frames:
            return []
        crops = [Crop.around(bounding_box(p), self.validator_context, CROP_PX) for p in landmarks]
        inside = np.stack([crop.to_crop(p) for crop, p in zip(crops, landmarks, strict=True)])
        windows = [crop.extract(frame) for crop, frame in zip(crops, frames, strict=True)]
        found = self.validator.run(VALIDATE, crops=to_input(windows), points=inside)
        return [float(value) for value in found["probability"]]

    def _features(self, views: Sequence[View], crops: Sequence[Crop]) -> Floats:
        windows = [crop.extract(view.frame) for crop, view in zip(crops, views, strict=True)]
        batches = [windows[i : i + MAX_BATCH] for i in range(0, len(windows), MAX_BATCH)]
        found = [self.tracker.run(FEATURES, crops=to_input(batch)) for batch in batches]
        return np.concatenate([one["features"] for one in found])

    def _states(self, recalls: Sequence[Recall]) -> Memory:
        states = zeros(self.tracker, STEP, len(recalls), "now", "before")
        for row, recall in enumerate(recalls):
            if recall.state is not None:
                for name, one in states.items():
                    one[row] = recall.state[name]
        return states
