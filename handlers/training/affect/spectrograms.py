"""Degradations of Mel spectrograms: noise, masked bands and times, and a low level (7.3.4)."""

from collections.abc import Callable

import numpy as np

from handlers.processing.mel import BANDS, Floats

# Power of a band in which a quiet room lies.
ROOM = 1e-4


def degrade_power(power: Floats, rng: np.random.Generator, name: str | None = None) -> Floats:
    """A degraded copy of Mel power `(128, T)` by "noise", "bands", "times" or "level".

    Without a name one is drawn. Raises KeyError for a name that is none.
    """
    chosen = str(rng.choice(list(DEGRADATIONS))) if name is None else name
    return DEGRADATIONS[chosen](power, rng)


def noise_like(power: Floats, rng: np.random.Generator) -> Floats:
    """White noise about as loud as the loud parts of Mel power `(128, T)`, and nothing else."""
    loud = max(float(np.percentile(power.sum(axis=0), 90)), ROOM) / BANDS
    level = loud * 10 ** (rng.uniform(-5, 5) / 10)
    return np.asarray(level * rng.exponential(1.0, power.shape), np.float32)


def _noise(power: Floats, rng: np.random.Generator) -> Floats:
    """Steady noise of a random colour, 20 dB below to 10 dB above the speech."""
    loudest = max(float(np.percentile(power.sum(axis=0), 90)), ROOM)
    tilt = np.linspace(0, rng.uniform(-3, 1), BANDS)[:, None]
    shape = 10**tilt / (10**tilt).sum()
    level = loudest * 10 ** (rng.uniform(-20, 10) / 10)
    flicker = rng.exponential(1.0, power.shape)
    return np.asarray(power + level * shape * flicker, np.float32)


def _bands(power: Floats, rng: np.random.Generator) -> Floats:
    """One to three bands missing, or all above a cut-off, as a telephone has it."""
    kept = np.ones((BANDS, 1), np.float32)
    if rng.random() < 0.3:
        kept[int(rng.integers(48, 100)) :] = 0
    for _ in range(int(rng.integers(1, 4))):
        begin = int(rng.integers(BANDS))
        kept[begin : begin + int(rng.integers(4, 24))] = 0
    return np.asarray(power * kept, np.float32)


def _times(power: Floats, rng: np.random.Generator) -> Floats:
    """One to three stretches missing, as when packets are lost."""
    kept = np.ones((1, power.shape[1]), np.float32)
    for _ in range(int(rng.integers(1, 4))):
        begin = int(rng.integers(power.shape[1]))
        kept[:, begin : begin + int(rng.integers(5, 30))] = 0
    return np.asarray(power * kept, np.float32)


def _level(power: Floats, rng: np.random.Generator) -> Floats:
    """10 to 30 dB lower, above the noise of the microphone."""
    noise = 1e-8 * rng.exponential(1.0, power.shape)
    return np.asarray(power * 10 ** (rng.uniform(-30, -10) / 10) + noise, np.float32)


DEGRADATIONS: dict[str, Callable[[Floats, np.random.Generator], Floats]] = {
    "noise": _noise,
    "bands": _bands,
    "times": _times,
    "level": _level,
}
