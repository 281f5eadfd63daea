"""Smooth random functions of time, in frames: the raw material of every motion."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

SUBSTEPS = 8  # samples a frame: motion blur looks between the frames
MARGIN_FRAMES = 1.0  # an exposure may begin before the first frame and end after the last


@dataclass(frozen=True, eq=False)
class Track:
    """A vector over time: `values` `(N, K)` at the times of `grid`, linear between them."""

    values: Doubles

    def at(self, times: Doubles) -> Doubles:
        """Values `(M, K)` at times `(M,)` in frames; held constant beyond the ends."""
        where = np.clip((times + MARGIN_FRAMES) * SUBSTEPS, 0, len(self.values) - 1)
        low = np.minimum(where.astype(np.int64), len(self.values) - 2)
        share = (where - low)[:, None]
        return np.asarray(self.values[low] * (1 - share) + self.values[low + 1] * share)


def grid(frames: int) -> Doubles:
    """The times `(N,)` at which tracks of so many frames are sampled."""
    samples = int(np.ceil((frames - 1 + 2 * MARGIN_FRAMES) * SUBSTEPS)) + 1
    return np.arange(samples) / SUBSTEPS - MARGIN_FRAMES


def waves(
    rng: np.random.Generator, times: Doubles, amplitudes: Doubles, periods: tuple[float, float]
) -> Doubles:
    """Sums of three sinusoids `(N, K)`, about as large as `amplitudes` `(K,)`.

    Periods are drawn between the two given, in frames; slow ones are larger.
    """
    columns = len(amplitudes)
    low, high = np.log(periods)
    period = np.exp(rng.uniform(low, high, (3, columns)))
    weight = np.sqrt(period) * rng.uniform(0.3, 1.0, (3, columns))
    weight *= amplitudes / weight.sum(axis=0)
    phase = rng.uniform(0, 2 * np.pi, (3, columns))
    angle = times[:, None, None] * (2 * np.pi / period) + phase
    return np.asarray((np.sin(angle) * weight).sum(axis=1))


def steps(
    rng: np.random.Generator, times: Doubles, sizes: Doubles, durations: tuple[float, float]
) -> Doubles:
    """Sudden moves `(N, K)`: `sizes` `(M, K)` are added one after the other, each in its time.

    A move takes a duration drawn between the two given, in frames, and is smooth.
    """
    total = np.zeros((len(times), sizes.shape[1]))
    for size in sizes:
        start = rng.uniform(times[0], times[-1])
        done = np.clip((times - start) / rng.uniform(*durations), 0, 1)
        total += smooth(done)[:, None] * size
    return total


def pulses(
    rng: np.random.Generator, times: Doubles, count: int, durations: tuple[float, float]
) -> Doubles:
    """A function `(N,)` in [0, 1] that rises, holds and falls `count` times."""
    total = np.zeros(len(times))
    for _ in range(count):
        length = rng.uniform(*durations)
        middle = rng.uniform(times[0], times[-1])
        near = 1.5 - np.abs(times - middle) * (3 / length)
        total = np.maximum(total, rng.uniform(0.4, 1.0) * smooth(np.clip(near, 0, 1)))
    return total


def smooth(share: Doubles) -> Doubles:
    """0 to 1 with level ends (3s^2 - 2s^3)."""
    return np.asarray(share * share * (3 - 2 * share))
