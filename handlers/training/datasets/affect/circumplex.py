"""Emotion words to weak valence and arousal, and both to quadrants of the circumplex."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

# Pleasure and arousal of emotion words (Russell and Mehrabian 1977); calm is ours. Those of faces
# are FACE_PLACES, beside the network that tells the words. New words stand last: their places are
# numbers of classes.
PLACES: Mapping[str, tuple[float, float]] = {
    "neutral": (0.0, 0.0),
    "happiness": (0.81, 0.51),
    "surprise": (0.40, 0.67),
    "anger": (-0.51, 0.59),
    "disgust": (-0.60, 0.35),
    "fear": (-0.64, 0.60),
    "sadness": (-0.63, -0.27),
    "calm": (0.30, -0.40),
    "boredom": (-0.65, -0.62),
}

# How far from an axis a label is before its side of it is beyond doubt.
SOFTNESS = 0.08

WORDS = (*PLACES, "contempt")


def soft_quadrants(labels: Floats) -> Floats:
    """Valence and arousal `(..., 2)` -> probabilities of the quadrants `(..., 4)`.

    In the order positive-active, negative-active, negative-passive, positive-passive. Far from
    the axes it is the quadrant of the signs; near neutral it is undecided between all four, as
    the signs of nearly nothing mean nothing.
    """
    above = 1 / (1 + np.exp(-np.asarray(labels, np.float64) / SOFTNESS))
    positive, active = above[..., 0], above[..., 1]
    stacked = [
        positive * active,
        (1 - positive) * active,
        (1 - positive) * (1 - active),
        positive * (1 - active),
    ]
    return np.stack(stacked, axis=-1).astype(np.float32)
