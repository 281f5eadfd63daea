"""The expression network on a device: each face seen twice, what is seen smoothed over time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from handlers.networks.affect import FACE
from handlers.networks.expressions import FACE_PLACES, INPUT_PX, ExpressionNetwork, standardise
from handlers.predictors.affect.estimator import MAX_BATCH, Answer, Estimator, Reading
from handlers.predictors.affect.inputs import Moment, Sound
from handlers.predictors.affect.state import halve
from handlers.predictors.tracking.state import Memory
from handlers.processing.mel_stream import MelStream

Image = NDArray[np.uint8]

# Luma of ITU-R BT.601, as the grey pictures were made that the network learned from.
GREY = (0.299, 0.587, 0.114)
# What the first look leaves out on every side of the crop's 128 pixels.
EDGE_PX = 8
# After so many seconds about two thirds of a change are answered.
SMOOTHING_S = 0.25
# How far apart two looks at a face are, in valence and arousal, where agreement is 1 / e.
APART = 0.4


@dataclass(frozen=True)
class Calibration:
    """How the network's answer becomes valence and arousal.

    The words' logits are divided by `temperature`, behind an `offset` each; the mean of their
    places counts `words`, the network's own valence and arousal the rest. What comes out is
    stretched around zero by `scale` and moved by `shift`, both `(2,)`.
    """

    temperature: float = 1.0
    offset: tuple[float, ...] = (0.0,) * 8
    words: float = 1.0
    scale: tuple[float, float] = (1.0, 1.0)
    shift: tuple[float, float] = (0.0, 0.0)


class ExpressionEstimator(Estimator):
    """Words, valence and arousal of a face, alone.

    A crop is looked at twice: its middle as it is, and all of it mirrored. The estimate is the mean
    of both, and how near they are to each other says how sure it is.
    """

    sees, hears = True, False

    def __init__(
        self,
        network: ExpressionNetwork,
        context: float,
        calibration: Calibration,
        device: str = "cpu",
    ) -> None:
        self.network = network.to(device).eval()
        self.context, self.device = context, torch.device(device)
        self.calibration = calibration
        self._places = torch.tensor(list(FACE_PLACES.values()), device=self.device)
        self._offset = torch.tensor(calibration.offset, device=self.device)
        self._scale = torch.tensor(calibration.scale, device=self.device)
        self._shift = torch.tensor(calibration.shift, device=self.device)

    def silence(self) -> MelStream:
        return MelStream()

    def hear(self, sound: Sound, time_s: float) -> None:
        return None

    def read(self, moments: Sequence[Moment]) -> list[Reading | None]:
        readings: list[Reading | None] = [None] * len(moments)
        rows = [row for row, moment in enumerate(moments) if moment.face is not None]
        for begin in range(0, len(rows), MAX_BATCH):
            batch = rows[begin : begin + MAX_BATCH]
            seen = self.look([face for row in batch if (face := moments[row].face) is not None])
            for row, features in zip(batch, seen, strict=True):
                readings[row] = Reading(features, None, None, (FACE,))
        return readings

    def look(self, crops: Sequence[Image]) -> Tensor:
        """Crops uint8 RGB `(128, 128, 3)` -> `(B, 11)`: valence, arousal, shares of EXPRESSIONS,
        agreement of both looks in [0, 1]."""
        faces = torch.from_numpy(np.stack(crops)).to(self.device).float()
        grey = (faces * torch.tensor(GREY, device=self.device)).sum(dim=-1)[:, None]
        views = torch.cat([_middle(grey), _resized(grey).flip(-1)])
        found = self.network(standardise(views))
        shares = ((found.logits + self._offset) / self.calibration.temperature).softmax(dim=-1)
        words = self.calibration.words
        place = words * (shares @ self._places) + (1 - words) * found.place
        place = place * self._scale + self._shift
        (one, other), mean = place.chunk(2), place.unflatten(0, (2, -1)).mean(dim=0)
        agreement = torch.exp(-(one - other).norm(dim=-1, keepdim=True) / APART)
        shares = shares.unflatten(0, (2, -1)).mean(dim=0)
        return torch.cat([mean.clamp(-1, 1), shares, agreement], dim=-1).cpu()

    def step(
        self,
        readings: Sequence[Reading],
        memories: Sequence[Memory | None],
        since_s: Sequence[float],
    ) -> list[Answer]:
        answers = []
        for reading, memory, passed_s in zip(readings, memories, since_s, strict=True):
            values = smooth(reading.features, memory, passed_s)
            valence, arousal, *shares, agreement = values.tolist()
            answers.append(
                Answer(valence, arousal, (), halve({"values": values}), tuple(shares), agreement)
            )
        return answers


def smooth(values: Tensor, memory: Memory | None, since_s: float) -> Tensor:
    """An exponential moving average by time: what was `values` before counts less, the longer
    ago it is; what is not a number before or now is taken over or left as it is."""
    if memory is None:
        return values
    before = memory["values"].float()
    new = before + (1 - math.exp(-since_s / SMOOTHING_S)) * (values - before)
    return torch.where(before.isnan(), values, new)


def _middle(faces: Tensor) -> Tensor:
    """The middle of a crop, as large as the network's: the side is then 1.1 times that of the
    landmarks' box."""
    return _resized(faces[..., EDGE_PX:-EDGE_PX, EDGE_PX:-EDGE_PX])


def _resized(faces: Tensor) -> Tensor:
    size = (INPUT_PX, INPUT_PX)
    return interpolate(faces, size, mode="bilinear", align_corners=False, antialias=True)
