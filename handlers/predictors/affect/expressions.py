"""The expression network: each face seen twice, what is seen smoothed over time."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from handlers.engines.base import Engine
from handlers.networks.variants import FACE, FACE_PLACES
from handlers.predictors.affect.estimator import (
    Answer,
    Estimator,
    Moment,
    Reading,
    Sound,
    halve,
    read_batches,
)
from handlers.predictors.tracking.state import Memory
from handlers.processing.mel_stream import MelStream

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

IMPRESSION = "impression"  # the part of the model
# Luma of ITU-R BT.601, as the grey pictures were made that the network learned from.
GREY = np.array([0.299, 0.587, 0.114], np.float32)
# What the first look leaves out on every side of the crop's 128 pixels.
EDGE_PX = 8
# How far apart two looks at a face are, in valence and arousal, where agreement is 1 / e.
APART = 0.4


@dataclass(frozen=True)
class Calibration:
    """The map from the network's answer to valence and arousal.

    The words' logits are divided by `temperature`, behind an `offset` each; the mean of their
    places counts `words`, the network's own valence and arousal the rest. What comes out is
    stretched around zero by `scale` and moved by `shift`, both `(2,)`. Of arousal, what a line
    through facial actions says, stretched alike, counts `actions`, where they are known.
    """

    temperature: float = 1.0
    offset: tuple[float, ...] = (0.0,) * 8
    words: float = 1.0
    scale: tuple[float, float] = (1.0, 1.0)
    shift: tuple[float, float] = (0.0, 0.0)
    actions: float = 0.0


class SmoothEstimator(Estimator):
    """Estimates that are numbers of their moment, smoothed over time."""

    @abstractmethod
    def answer(self, values: Floats, reading: Reading) -> Answer:
        """Answer with smoothed values; the reading says what is there now."""

    def step(
        self,
        readings: Sequence[Reading],
        memories: Sequence[Memory | None],
        news: Sequence[float],
    ) -> list[Answer]:
        return [
            self.answer(smooth(reading.features, memory, new), reading)
            for reading, memory, new in zip(readings, memories, news, strict=True)
        ]


class ExpressionEstimator(SmoothEstimator):
    """Words, valence and arousal of a face, alone.

    A crop is looked at twice: its middle as it is, and all of it mirrored. The estimate is the mean
    of both, and how near they are to each other says how sure it is.
    """

    sees, hears = True, False

    def __init__(
        self,
        engine: Engine,
        context: float,
        calibration: Calibration,
        line: Sequence[float] | None = None,
    ) -> None:
        """Take `engine`, which has the part of `networks.expressions.ExpressionNetwork`; `line`
        `(81,)` weighs what `action_features` gives, for arousal."""
        self.engine, self.context, self.calibration = engine, context, calibration
        self.line = None if line is None else np.array(line, np.float32)
        self._places = np.array(list(FACE_PLACES.values()), np.float32)
        self._side = engine.inputs(IMPRESSION)["faces"].shape[-1]

    def silence(self) -> MelStream:
        return MelStream()

    def hear(self, sound: Sound, time_s: float) -> None:
        return None

    def read(self, moments: Sequence[Moment]) -> list[Reading | None]:
        rows = [row for row, moment in enumerate(moments) if moment.face is not None]
        return read_batches(moments, rows, self._read)

    def _read(self, moments: Sequence[Moment]) -> Iterator[Reading]:
        seen = self.look([moment.face for moment in moments if moment.face is not None])
        for moment, features in zip(moments, seen, strict=True):
            features[1] = self._with_actions(features[1], moment.actions)
            yield Reading(features, None, None, (FACE,))

    def _with_actions(self, arousal: np.float32, actions: Floats | None) -> np.float32:
        told = self.calibration
        if self.line is None or actions is None:
            return arousal
        line = told.scale[1] * (action_features(actions) @ self.line) + told.shift[1]
        return np.float32((1 - told.actions) * arousal + told.actions * np.clip(line, -1, 1))

    def look(self, crops: Sequence[Image]) -> Floats:
        """Turn crops uint8 RGB `(128, 128, 3)` into `(B, 11)`: valence, arousal, shares of
        EXPRESSIONS, agreement of both looks in [0, 1]."""
        found = self.engine.run(IMPRESSION, faces=self._views(crops))
        told, rows = self.calibration, len(crops)
        logits = (found["logits"] + np.array(told.offset, np.float32)) / told.temperature
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        place = told.words * (shares @ self._places) + (1 - told.words) * found["place"]
        place = place * np.array(told.scale) + np.array(told.shift)
        one, other = place[:rows], place[rows:]
        agreement = np.exp(-np.linalg.norm(one - other, axis=1, keepdims=True) / APART)
        mean = np.clip((one + other) / 2, -1, 1)
        return np.hstack([mean, (shares[:rows] + shares[rows:]) / 2, agreement]).astype(np.float32)

    def _views(self, crops: Sequence[Image]) -> Floats:
        """Return the middle of every crop, the side then that of the landmarks' box; behind them
        all of every crop mirrored."""
        assert self._side is not None
        grey = np.stack(crops).astype(np.float32) @ GREY
        middle = grey[:, EDGE_PX:-EDGE_PX, EDGE_PX:-EDGE_PX]
        views = [_resized(middle, self._side), _resized(grey, self._side)[..., ::-1]]
        return np.concatenate(views)[:, None]

    def answer(self, values: Floats, reading: Reading) -> Answer:
        valence, arousal, *shares, agreement = values.tolist()
        return Answer(valence, arousal, (), halve({"values": values}), tuple(shares), agreement)


def action_features(actions: Floats) -> Floats:
    """Build a line's inputs `(..., 81)` from facial actions `(..., 40)`: them, roots, and one."""
    some = np.maximum(actions, 0)
    one = np.ones((*actions.shape[:-1], 1))
    return np.concatenate([some, np.sqrt(some), one], axis=-1).astype(np.float32)


def smooth(values: Floats, memory: Memory | None, news: float) -> Floats:
    """Return an exponential moving average: what was `values` before counts all but `news`; what is
    not a number before or now is taken over or left as it is."""
    if memory is None:
        return values
    before = memory["values"].astype(np.float32)
    new = before + news * (values - before)
    return np.where(np.isnan(before), values, new).astype(np.float32)


def _resized(faces: Floats, side: int) -> Floats:
    """Return square pictures `(B, S, S)` averaged down to `side` x `side` pixels."""
    weights = _shrinking(faces.shape[-1], side)
    return np.asarray(weights @ faces @ weights.T, np.float32)


@cache
def _shrinking(before: int, after: int) -> Floats:
    """Return weights `(after, before)` of a line's pixels: a triangle as wide as two new pixels,
    which is what PyTorch and Pillow call bilinear with antialiasing."""
    scale = before / after
    centres = (np.arange(after) + 0.5) * scale
    distance = np.abs(np.arange(before) + 0.5 - centres[:, None]) / scale
    weights = np.maximum(0, 1 - distance)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)
