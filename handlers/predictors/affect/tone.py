"""The sound of a voice over a window: its spectrum's balance and how steady its pitch is.

These few numbers say nearly as much of arousal as a network does, and err on other windows: who
is roused speaks with more of the high bands, and with a pitch that moves.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from handlers.processing.mel import RELATIVE_DB, VOICE_BANDS

Floats = NDArray[np.float32]

# Columns within 25 dB of the loudest are the voice's.
QUIET = 0.003
BANDS_A_GROUP = 8
# Up to 1 kHz bands are 26 Hz apart: a voice's harmonics repeat after 3 to 15 of them.
LINEAR_BANDS, PERIODS = 38, np.arange(3, 16)
# How alike a column is to itself one period on, where it has a pitch, and what is said of its
# steadiness where so few columns have one.
PITCHED, FEW, UNKNOWN = 0.3, 3, 0.2


def tone_features(windows: Sequence[Floats]) -> Floats:
    """Windows without level `(128, 128)` in [-1, 1] -> `(B, 25)`: mean and spread of 11 groups of
    bands in dB, the spread of the pitch, how harmonic the voice is, and one."""
    return np.stack([_features(window) for window in windows])


def _features(window: Floats) -> Floats:
    low, high = RELATIVE_DB
    decibels = (window[:VOICE_BANDS] + 1) / 2 * (high - low) + low
    totals = (10 ** (decibels / 10)).sum(axis=0)
    loud = decibels[:, totals >= QUIET * totals.max()]
    groups = loud.reshape(VOICE_BANDS // BANDS_A_GROUP, BANDS_A_GROUP, -1).mean(axis=1)
    pitch = _pitch(loud[:LINEAR_BANDS])
    return np.concatenate([groups.mean(axis=1), groups.std(axis=1), pitch, [1]]).astype(np.float32)


def _pitch(bands: NDArray[np.floating]) -> Floats:
    """Return how much the logarithm of the pitch moves, and how harmonic columns `(38, C)` are."""
    bands = bands - bands.mean(axis=0)
    power = np.maximum(np.square(bands).mean(axis=0), 1e-6)
    alike = np.stack([(bands[:-k] * bands[k:]).mean(axis=0) for k in PERIODS]) / power
    best = alike.max(axis=0)
    periods = PERIODS[alike.argmax(axis=0)][best > PITCHED]
    moves = np.log(periods).std() if len(periods) > FEW else UNKNOWN
    return np.array([moves, best.mean()], np.float32)
