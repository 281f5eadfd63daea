"""Sounds in which nobody speaks, made on the spot: float64 `(N,)` in [-1, 1] at 22 050 Hz."""

from collections.abc import Callable, Mapping

import numpy as np

from handlers.processing.arrays import Doubles
from handlers.processing.mel import RATE_HZ
from handlers.training.affect.voices.channels import drums, music, pink

BEAT_S = 0.5
PEAK = 0.5
CHORD = (1, 1.26, 1.5, 2, 2.52, 3)


def tone(seconds: float, hz: float = 440, amplitude: float = 0.3) -> Doubles:
    """Return a sine."""
    return np.asarray(amplitude * np.sin(2 * np.pi * hz * times(seconds)))


def white(seconds: float, seed: int = 0) -> Doubles:
    """Return noise as strong at every frequency."""
    return _at_peak(np.random.default_rng(seed).standard_normal(len(times(seconds))))


def chords(seconds: float, seed: int = 0) -> Doubles:
    """Return a chord every half second, struck and fading, over a drum."""
    since_s = times(seconds) % BEAT_S
    fading = np.exp(-4 * since_s)
    sound = 0.4 * np.random.default_rng(seed).standard_normal(len(since_s)) * fading**12
    for step, ratio in enumerate(CHORD):
        sound += fading * tone(seconds, 196 * ratio, 1 / (1 + step))
    return _at_peak(sound)


def birds(seconds: float) -> Doubles:
    """Return chirps around 4 kHz, five a second."""
    time_s = times(seconds)
    pitch_hz = 4000 + 1200 * np.sin(2 * np.pi * 15 * time_s)
    swell = np.clip(np.sin(2 * np.pi * 5 * time_s), 0, 1)
    return np.asarray(0.4 * swell * np.sin(2 * np.pi * np.cumsum(pitch_hz) / RATE_HZ))


def applause(seconds: float, seed: int = 0) -> Doubles:
    """Return ninety claps a second."""
    rng = np.random.default_rng(seed)
    claps = np.zeros(len(times(seconds)))
    hands = rng.integers(len(claps), size=round(seconds * 90))
    claps[hands] = rng.uniform(0.2, 1, len(hands))
    clap = rng.standard_normal(400) * np.exp(-np.arange(400) / 70)
    return _at_peak(np.convolve(claps, clap)[: len(claps)])


def times(seconds: float) -> Doubles:
    """Return the time of each sample."""
    return np.arange(round(seconds * RATE_HZ)) / RATE_HZ


def _at_peak(sound: Doubles) -> Doubles:
    return np.asarray(PEAK * sound / np.abs(sound).max())


def _piece(seed: int) -> Callable[[float], Doubles]:
    return lambda seconds: PEAK * music(seconds, np.random.default_rng(seed))


SOUNDS: Mapping[str, Callable[[float], Doubles]] = {
    "tone": tone,
    "white noise": white,
    "pink noise": lambda seconds: PEAK * pink(len(times(seconds)), np.random.default_rng(0)),
    "chords": chords,
    "drums": lambda seconds: PEAK * drums(seconds, np.random.default_rng(0), BEAT_S),
    **{f"music {seed + 1}": _piece(seed) for seed in range(6)},
    "birds": birds,
    "applause": applause,
}
