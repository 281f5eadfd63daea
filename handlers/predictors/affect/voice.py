"""The voice network: what is heard around a moment to its arousal, and nothing else."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from handlers.engines.base import Engine
from handlers.networks.variants import VOICE
from handlers.predictors.affect.estimator import MAX_BATCH, Answer, Estimator, Reading
from handlers.predictors.affect.inputs import Moment, Sound
from handlers.predictors.tracking.state import Memory
from handlers.processing.mel import share_with_sound, without_level
from handlers.processing.mel_stream import MelStream

Floats = NDArray[np.float32]


class VoiceEstimator(Estimator):
    """Arousal of a voice, moment by moment; valence is not to be had from it."""

    context = 1.0
    sees, hears = False, True

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def silence(self) -> MelStream:
        return MelStream()

    def hear(self, sound: Sound, time_s: float) -> Floats | None:
        """The window `(128, 128)` around a time without its level; None where it is silence."""
        if not isinstance(sound, MelStream):
            return None
        power, heard = sound.window(time_s)
        return without_level(power) if share_with_sound(power, heard) > 0 else None

    def read(self, moments: Sequence[Moment]) -> list[Reading | None]:
        readings: list[Reading | None] = [None] * len(moments)
        rows = [row for row, moment in enumerate(moments) if moment.voice is not None]
        for begin in range(0, len(rows), MAX_BATCH):
            batch = rows[begin : begin + MAX_BATCH]
            arousal = self.arousal([moments[row].voice for row in batch])
            for row, one in zip(batch, arousal, strict=True):
                readings[row] = Reading(one[None], None, None, (VOICE,))
        return readings

    def step(
        self,
        readings: Sequence[Reading],
        memories: Sequence[Memory | None],
        news: Sequence[float],
    ) -> list[Answer]:
        return [Answer(None, float(reading.features[0]), (), {}) for reading in readings]

    def arousal(self, windows: Sequence[Floats | None]) -> Floats:
        """Windows, none of them None, -> arousal `(B,)`."""
        stacked = np.stack([window for window in windows if window is not None])
        return self.engine.run("arousal", windows=stacked)["arousal"]
