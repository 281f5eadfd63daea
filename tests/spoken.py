"""Synthetic speech by formants: vowels that the shipped speech detector takes for a voice."""

import numpy as np
from numpy.typing import NDArray

Pcm = NDArray[np.int16]
Floats = NDArray[np.float64]

RATE_HZ = 22_050
# First to fourth formant of some vowels in Hz (Peterson and Barney 1952, men), bandwidths below.
VOWELS = ((730, 1090, 2440, 3400), (270, 2290, 3010, 3500), (300, 870, 2240, 3300))
VOWELS += ((530, 1840, 2480, 3450), (570, 840, 2410, 3300))
BANDWIDTHS = (80, 90, 120, 150)
SYLLABLE_S = 0.22
STEP = 110  # samples between two settings of the filters


def speech(seconds: float, seed: int = 0, amplitude: float = 0.25) -> Pcm:
    """A voice at 22 050 Hz that says vowels, four and a half a second, some after a hiss."""
    rng = np.random.default_rng(seed)
    count = round(seconds * RATE_HZ)
    time_s = np.arange(count) / RATE_HZ
    pitch = 120 + 18 * np.sin(2 * np.pi * 0.7 * time_s) + 5 * np.sin(2 * np.pi * 2.3 * time_s)
    phase = np.cumsum(pitch) / RATE_HZ
    pulses = np.diff(np.floor(phase), prepend=0.0)
    source = _one_pole(pulses, 0.96) + 0.004 * rng.standard_normal(count)
    spoken = _formants(source, _tracks(count, rng)) * _syllables(time_s)
    hiss = np.diff(rng.standard_normal(count), prepend=0.0) * _hisses(time_s, rng)
    voice = spoken / np.abs(spoken).max() + 0.06 * hiss
    return np.asarray(amplitude * 32767 * voice / np.abs(voice).max(), np.int16)


def _tracks(count: int, rng: np.random.Generator) -> Floats:
    """Formants `(steps, 4)` that glide from vowel to vowel."""
    vowels = np.array(VOWELS, float)[rng.integers(len(VOWELS), size=count // STEP + 9)]
    every = SYLLABLE_S * RATE_HZ / STEP
    places = np.arange(count // STEP + 1) / every
    return np.stack([np.interp(places, np.arange(len(vowels)), row) for row in vowels.T], axis=1)


def _formants(source: Floats, tracks: Floats) -> Floats:
    """A source through four resonators in series, whose settings change every 5 ms."""
    signal = source.tolist()
    for track, width in zip(tracks.T, BANDWIDTHS, strict=True):
        radius = np.exp(-np.pi * width / RATE_HZ)
        settings = [(2 * radius * np.cos(2 * np.pi * f / RATE_HZ), -(radius**2)) for f in track]
        last = before = 0.0
        for index, value in enumerate(signal):
            first, second = settings[index // STEP]
            before, last = last, (1 - first - second) * value + first * last + second * before
            signal[index] = last
    return np.array(signal)


def _one_pole(signal: Floats, pole: float) -> Floats:
    last, out = 0.0, []
    for value in signal.tolist():
        last = value + pole * last
        out.append(last)
    return np.array(out)


def _syllables(time_s: Floats) -> Floats:
    """Loudness that rises and falls with every syllable, and pauses after every eighth."""
    place = time_s / SYLLABLE_S
    swell = np.clip(1.6 * np.sin(np.pi * (place % 1)), 0, 1)
    return np.asarray(swell * (place % 9 < 8))


def _hisses(time_s: Floats, rng: np.random.Generator) -> Floats:
    place = time_s / SYLLABLE_S
    chosen = rng.random(int(place[-1]) + 1) < 0.35
    return np.asarray(chosen[place.astype(int)] * np.clip(1 - 4 * (place % 1), 0, 1))
