"""What is said of the affect of one moment."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handlers.predictors.tracking.results import TrackedFace

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class FrameAffect:
    """Affect at `time_s`.

    `valence` and `arousal` in [-1, 1] are None where nothing could be `used`, of "face" and
    "voice". `quadrants` `(4,)` are D's probabilities, as QUADRANTS; None for networks whose D
    estimates affect itself. `attention` weighs the past states held, oldest first, and
    `attention_ages_s` says how old they are. `gate` is the mean of Z_G: 1 is all face, 0 all voice.
    """

    time_s: float
    valence: float | None = None
    arousal: float | None = None
    quadrants: Floats | None = None
    attention: tuple[float, ...] = ()
    attention_ages_s: tuple[float, ...] = ()
    gate: float | None = None
    used: tuple[str, ...] = ()
    face: TrackedFace | None = None

    @property
    def quadrant(self) -> str | None:
        """That of valence and arousal; D's first guess may be another, see `quadrants`."""
        if self.valence is None or self.arousal is None:
            return None
        return quadrant_of(self.valence, self.arousal)


def quadrant_of(valence: float, arousal: float) -> str:
    """The quadrant of a point of the circumplex; zero counts as positive, and as active."""
    return f"{_sign(valence)}-{'active' if arousal >= 0 else 'passive'}"


def _sign(valence: float) -> str:
    return "positive" if valence >= 0 else "negative"
