"""Degradations of Mel spectrograms: noise, masked bands and times, and a low level (7.3.4)."""

from collections.abc import Callable
from functools import cache

import numpy as np

from handlers.processing.mel import BANDS, RATE_HZ, REFERENCE, Floats, mel_power

# Power of a band in which a quiet room lies.
ROOM = 1e-4
WHITE_S = 60
# Level over all bands of white noise that reaches as high as a voice of RAVDESS does.
LOUD_DB = -45.0, -17.0


def degrade_power(power: Floats, rng: np.random.Generator, name: str | None = None) -> Floats:
    """A degraded copy of Mel power `(128, T)` by "noise", "bands", "times" or "level".

    Without a name one is drawn. Raises KeyError for a name that is none.
    """
    chosen = str(rng.choice(list(DEGRADATIONS))) if name is None else name
    return DEGRADATIONS[chosen](power, rng)


def noise_alone(columns: int, rng: np.random.Generator) -> Floats:
    """Mel power `(128, columns)` of white noise and nothing else, as loud as some voice.

    Not as the one it takes the place of: its loudness would tell of arousal.
    """
    level = 10 ** (rng.uniform(*LOUD_DB) / 10) * REFERENCE / BANDS
    return np.float32(level) * white(columns, rng)


def white(columns: int, rng: np.random.Generator) -> Floats:
    """Mel power `(128, columns)` of white noise, 1 in the mean of every band.

    Its bands waver as those of real noise do: high ones, which are wide, the least.
    """
    noise = _white()
    begin = int(rng.integers(noise.shape[1]))
    return np.asarray(noise.take(np.arange(begin, begin + columns), axis=1, mode="wrap"))


@cache
def _white() -> Floats:
    samples = np.random.default_rng(0).standard_normal(WHITE_S * RATE_HZ, dtype=np.float32)
    power = mel_power(samples)[:, 2:-2]
    return np.asarray(power / power.mean(axis=1, keepdims=True))


def _noise(power: Floats, rng: np.random.Generator) -> Floats:
    """Steady noise of a random colour, 20 dB below to 10 dB above the speech."""
    loudest = max(float(np.percentile(power.sum(axis=0), 90)), ROOM)
    tilt = np.linspace(0, rng.uniform(-3, 1), BANDS)[:, None]
    shape = 10**tilt / (10**tilt).sum()
    level = loudest * 10 ** (rng.uniform(-20, 10) / 10)
    return np.asarray(power + level * shape * white(power.shape[1], rng), np.float32)


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
    noise = 1e-8 * white(power.shape[1], rng)
    return np.asarray(power * 10 ** (rng.uniform(-30, -10) / 10) + noise, np.float32)


DEGRADATIONS: dict[str, Callable[[Floats, np.random.Generator], Floats]] = {
    "noise": _noise,
    "bands": _bands,
    "times": _times,
    "level": _level,
}
