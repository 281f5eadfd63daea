"""Frames and boxes to what BT and FV say of them: crops in, picture pixels out, in batches."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handlers.networks.box_tracker import CROP_PX, BoxTracker, to_pixels
from handlers.networks.face_validator import FaceValidator
from handlers.predictors.tracking.state import Memory
from handlers.processing.boxes import Crop
from handlers.processing.landmarks import bounding_box

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

MAX_BATCH = 32


class View(NamedTuple):
    """A frame, uint8 RGB `(H, W, 3)`, and the landmark box `(4,)` in it that is looked at."""

    frame: Image
    box: Floats


class Recall(NamedTuple):
    """What BT starts a step from: its LSTM state, or None for h_0, and the features of X_{t-1},
    or None where X_t's crop stands for both."""

    state: Memory | None
    features: Tensor | None


class Estimate(NamedTuple):
    """BT's landmarks `(68, 2)` in pixels of the frame, its state and X_t's features at P_b."""

    points: Floats
    state: Memory
    features: Tensor


class TrackingNetworks:
    """BT and FV on a device; holds nothing of any face."""

    def __init__(
        self,
        tracker: BoxTracker,
        validator: FaceValidator,
        contexts: tuple[float, float],
        device: str = "cpu",
    ) -> None:
        """`contexts` widen a landmark box to the crops of BT and of FV."""
        self.tracker = tracker.to(device).eval()
        self.validator = validator.to(device).eval()
        self.tracker_context, self.validator_context = contexts
        self.device = torch.device(device)

    def remember(self, views: Sequence[View]) -> list[Tensor]:
        """Features `(F,)` of every view, as the next step needs them of the frame before."""
        if not views:
            return []
        crops = [Crop.around(view.box, self.tracker_context, CROP_PX) for view in views]
        return [features.clone() for features in self._features(views, crops).cpu()]

    def estimate(self, views: Sequence[View], recalls: Sequence[Recall]) -> list[Estimate]:
        """Lines 11 to 13 of Algorithm 2: one step of BT, faces of all sessions in one batch."""
        if not views:
            return []
        crops = [Crop.around(view.box, self.tracker_context, CROP_PX) for view in views]
        now = self._features(views, crops)
        kept = [recall.features for recall in recalls]
        before = torch.stack(
            [own if old is None else old.to(own) for own, old in zip(now, kept, strict=True)]
        )
        relative, state = self.tracker.step(now, before, self._states(recalls))
        points = to_pixels(relative).cpu().numpy()
        state, now = {name: tensor.cpu() for name, tensor in state.items()}, now.cpu()
        return [
            Estimate(
                crop.from_crop(points[row]),
                {name: tensor[row].clone() for name, tensor in state.items()},
                now[row].clone(),
            )
            for row, crop in enumerate(crops)
        ]

    def validate(self, frames: Sequence[Image], landmarks: Sequence[Floats]) -> list[float]:
        """Line 15: the probability that landmarks `(68, 2)` in frame pixels lie on a face."""
        if not frames:
            return []
        crops = [Crop.around(bounding_box(p), self.validator_context, CROP_PX) for p in landmarks]
        inside = np.stack([crop.to_crop(p) for crop, p in zip(crops, landmarks, strict=True)])
        windows = [crop.extract(frame) for crop, frame in zip(crops, frames, strict=True)]
        points = torch.from_numpy(inside).to(self.device)
        probability = self.validator.probability(self._to_tensor(windows), points)
        return [float(value) for value in probability.cpu()]

    def _features(self, views: Sequence[View], crops: Sequence[Crop]) -> Tensor:
        windows = [crop.extract(view.frame) for crop, view in zip(crops, views, strict=True)]
        tensor = self._to_tensor(windows)
        starts = range(0, len(tensor), MAX_BATCH)
        return torch.cat([self.tracker.features(tensor[i : i + MAX_BATCH]) for i in starts])

    def _states(self, recalls: Sequence[Recall]) -> Memory:
        states = self.tracker.initial_state(len(recalls))
        for row, recall in enumerate(recalls):
            if recall.state is not None:
                for name, tensor in states.items():
                    tensor[row] = recall.state[name]
        return states

    def _to_tensor(self, windows: Sequence[Image]) -> Tensor:
        """Windows `(S, S, 3)` uint8 -> `(B, 3, S, S)` in [-1, 1], channels last in memory."""
        stacked = torch.from_numpy(np.stack(windows)).to(self.device).permute(0, 3, 1, 2)
        return stacked.to(torch.float32, memory_format=torch.channels_last) / 127.5 - 1
