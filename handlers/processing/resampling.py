"""Sound at 22 050 Hz to 16 kHz, in periods of 20 ms, by a polyphase filter."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

FROM_HZ, TO_HZ = 22_050, 16_000
# So many samples become so many others.
PERIOD, RESAMPLED = 441, 320
# How far the filter reaches to either side of a new sample, in samples of what comes.
REACH = 22
# The middle of its slope, as a share of half the new rate.
CUTOFF = 0.94
KAISER_BETA = 8.0


def resample(samples: Floats) -> Floats:
    """Samples at 22 050 Hz -> those at 16 kHz, as many whole periods as there are.

    The first new sample lies at `samples[22]`. Of n new periods the first 441 n samples are used
    up; the others are needed again before what comes next.
    """
    periods = max((len(samples) - 2 * REACH) // PERIOD, 0)
    if periods == 0:
        return np.zeros(0, np.float32)
    pieces = np.lib.stride_tricks.sliding_window_view(samples, PERIOD + 2 * REACH)
    resampled = pieces[::PERIOD][:periods] @ _filters()
    return np.asarray(resampled.reshape(-1), np.float32)


@cache
def _filters() -> Floats:
    """Weights `(485, 320)` of the samples around every new one: sincs under Kaiser's window."""
    places = REACH + np.arange(RESAMPLED) * PERIOD / RESAMPLED
    away = np.arange(PERIOD + 2 * REACH)[:, None] - places
    cutoff = CUTOFF * TO_HZ / FROM_HZ
    inside = np.sqrt(np.clip(1 - np.square(away / REACH), 0, None))
    window = np.i0(KAISER_BETA * inside) * (np.abs(away) < REACH)
    weights = window * np.sinc(cutoff * away)
    return np.asarray(weights / weights.sum(axis=0), np.float32)
