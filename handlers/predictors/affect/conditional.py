"""The networks of chapter 5: a face, with descriptors of its sound, to an answer."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from handlers.engines.base import Engine
from handlers.networks.variants import FACE, VOICE
from handlers.predictors.affect.estimator import MAX_BATCH, Answer, Estimator, Reading
from handlers.predictors.affect.inputs import (
    DescriptorScale,
    Moment,
    Sound,
    hear_descriptors,
)
from handlers.predictors.tracking.state import Memory
from handlers.processing.audio_descriptors import PcmStream
from handlers.processing.boxes import to_input

Floats = NDArray[np.float32]


class ConditionalEstimator(Estimator):
    """One moment's face, with the descriptors of its sound where the networks hear."""

    sees = True

    def __init__(self, engine: Engine, context: float, scale: DescriptorScale | None) -> None:
        self.engine, self.context, self.scale = engine, context, scale
        self.hears = scale is not None

    def silence(self) -> PcmStream:
        return PcmStream()

    def hear(self, sound: Sound, time_s: float) -> Floats | None:
        if self.scale is None or not isinstance(sound, PcmStream):
            return None
        return hear_descriptors(sound, time_s, self.scale)

    def read(self, moments: Sequence[Moment]) -> list[Reading | None]:
        readings: list[Reading | None] = [None] * len(moments)
        rows = [row for row, moment in enumerate(moments) if moment.face is not None]
        for begin in range(0, len(rows), MAX_BATCH):
            batch = rows[begin : begin + MAX_BATCH]
            estimates = self._estimate([moments[row] for row in batch])
            for row, estimate in zip(batch, estimates, strict=True):
                heard = moments[row].voice is not None
                readings[row] = Reading(estimate, None, None, (FACE, VOICE) if heard else (FACE,))
        return readings

    def step(
        self,
        readings: Sequence[Reading],
        memories: Sequence[Memory | None],
        news: Sequence[float],
    ) -> list[Answer]:
        estimates = [reading.features.tolist() for reading in readings]
        return [Answer(valence, arousal, (), {}) for valence, arousal in estimates]

    def _estimate(self, moments: Sequence[Moment]) -> Floats:
        """Faces `(B,)`, with the mean descriptors where nothing is heard, -> `(B, 2)`."""
        inputs = {"crops": to_input([m.face for m in moments if m.face is not None])}
        if self.scale is not None:
            mean = np.zeros_like(self.scale.mean)
            heard = [mean if m.voice is None else m.voice for m in moments]
            inputs["descriptors"] = np.stack(heard)
        return self.engine.run("judge", **inputs)["estimate"]
