"""Noise and music made by rule, to lie under voices in training."""

import numpy as np
from numpy.typing import NDArray

from handlers.processing.mel import RATE_HZ

Samples = NDArray[np.float64]

CHORDS = ((0, 4, 7), (9, 12, 16), (5, 9, 12), (7, 11, 14))
# Of three ways to play: how fast a note fades, and for how many beats it sounds.
FADING, LASTING = (3.0, 0.6, 6.0), (1.0, 4.0, 0.8)
TAIL_S = 4


def pink(count: int, rng: np.random.Generator) -> Samples:
    """Noise whose power falls by 3 dB an octave, `(count,)` in [-1, 1]."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 1))
    return _full(np.fft.irfft(spectrum, count))


def music(seconds: float, rng: np.random.Generator) -> Samples:
    """Four chords in turn with a melody above, in half of the pieces over drums, in [-1, 1]."""
    count = int(seconds * RATE_HZ)
    sound = np.zeros(count + TAIL_S * RATE_HZ)
    beat_s, style = rng.uniform(0.3, 0.7), int(rng.integers(3))
    root_hz, bright = rng.uniform(110, 260), rng.uniform(0.8, 1.8)
    time_s, beat = 0.0, 0
    while time_s < seconds:
        chord, at = CHORDS[(beat // 4) % 4], int(time_s * RATE_HZ)
        for step in chord:
            harmonics = int(rng.integers(3, 12))
            pitch, lasting = root_hz * 2 ** (step / 12), beat_s * LASTING[style]
            _add(sound, _note(pitch, lasting, rng, harmonics, FADING[style], bright), at)
        if rng.random() < 0.7:
            pitch = root_hz * 2 * 2 ** (chord[rng.integers(3)] / 12)
            _add(sound, 1.5 * _note(pitch, beat_s * 0.9, rng, 6, 2.0, bright), at)
        time_s, beat = time_s + beat_s, beat + 1
    sound = sound[:count]
    if rng.random() < 0.5:
        sound = _full(sound) + drums(seconds, rng, beat_s) * rng.uniform(0.3, 1.0)
    return _full(sound)


def drums(seconds: float, rng: np.random.Generator, beat_s: float) -> Samples:
    """A bass drum on every beat, a snare on every other, a cymbal twice a beat, in [-1, 1]."""
    count, length = int(seconds * RATE_HZ), int(0.25 * RATE_HZ)
    sound = np.zeros(count + RATE_HZ)
    since_s = np.arange(length) / RATE_HZ
    time_s, half = 0.0, 0
    while time_s < seconds:
        at = int(time_s * RATE_HZ)
        if half % 2 == 0:
            phase = 50 * since_s + 20 * (1 - np.exp(-since_s * 30)) / 3
            _add(sound, np.sin(2 * np.pi * phase) * np.exp(-12 * since_s), at)
        if half % 4 == 2:
            _add(sound, 0.6 * rng.standard_normal(length) * np.exp(-18 * since_s), at)
        cymbal = rng.standard_normal(length) * np.exp(-60 * since_s)
        _add(sound, 0.25 * np.diff(cymbal, prepend=0), at)
        time_s, half = time_s + beat_s / 2, half + 1
    return _full(sound[:count])


def _note(
    pitch_hz: float,
    seconds: float,
    rng: np.random.Generator,
    harmonics: int,
    fading: float,
    bright: float,
) -> Samples:
    """One struck note; harmonics fall with the power `bright` of their number."""
    time_s = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    sound = np.zeros_like(time_s)
    for number in range(1, harmonics + 1):
        if number * pitch_hz < RATE_HZ / 2:
            phase = 2 * np.pi * number * pitch_hz * time_s + rng.uniform(0, 6)
            sound += np.sin(phase) * number**-bright
    return np.asarray(sound * np.exp(-fading * time_s) * np.minimum(1, time_s / 0.01))


def _add(sound: Samples, part: Samples, at: int) -> None:
    sound[at : at + len(part)] += part


def _full(sound: Samples) -> Samples:
    return np.asarray(sound / np.abs(sound).max())
