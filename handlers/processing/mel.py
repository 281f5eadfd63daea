"""Sound into Mel power, and Mel power into what the networks see and into its level."""

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

RATE_HZ = 22_050
BANDS = 128
FFT = 2048
HOP = 512
# How far a column reaches to either side of its centre, in samples.
REACH = FFT // 2
# Columns of the window that belongs to a picture: 2.97 s.
WINDOW = 128

# 0 dB: about the power of a sine at full scale in its band, so that sound of any recording has a
# place below it. A fixed one, because a stream has no maximum.
REFERENCE = 2.0**12
FLOOR_DB = -80.0
# Rooms without speech lie below this level, the quietest speakers well above it.
SILENCE_DB = -55.0

# Bands up to 4 kHz; of their columns those this share of the loudest and more make up the level.
VOICE_BANDS, QUIET = 88, 0.01
RELATIVE_DB = -45.0, 25.0

FULL_SCALE = 2.0**15
COLUMNS_AT_ONCE = 512
TINY = 1e-30  # keeps logarithms of silence finite

# Slaney's Mel scale: linear up to 1000 Hz at 15 Mel, and 27 Mel for each factor of 6.4 above.
BEND_HZ, BEND_MEL, LOG_STEP = 1000.0, 15.0, math.log(6.4) / 27


def pcm_to_samples(pcm: NDArray[np.int16]) -> Floats:
    """Bring 16-bit PCM to float32 in [-1, 1)."""
    return pcm.astype(np.float32) / np.float32(FULL_SCALE)


def mel_power(samples: Floats) -> Floats:
    """Return Mel power spectrogram of a whole signal: `(N,)` at 22 050 Hz to `(128, 1 + N // 512)`.

    Column k is centred on sample 512 k; beyond both ends are zeros. These are the values of
    `librosa.feature.melspectrogram(y, sr=22050, n_fft=2048, hop_length=512, n_mels=128)`
    (thesis, section 7.3.4).
    """
    columns = 1 + len(samples) // HOP
    return columns_power(np.pad(samples, REACH), columns).T


def columns_power(samples: Floats, columns: int) -> Floats:
    """Return Mel power `(columns, 128)` of signals that begin 512 samples after each other.

    `samples` begins with the first column's first sample and holds the last column whole.
    """
    if columns == 0:
        return np.zeros((0, BANDS), np.float32)
    pieces = np.lib.stride_tricks.sliding_window_view(samples, FFT)[::HOP][:columns]
    starts = range(0, columns, COLUMNS_AT_ONCE)
    return np.concatenate([_power(pieces[at : at + COLUMNS_AT_ONCE]) for at in starts])


def to_network(power: Floats, reference: float = REFERENCE) -> Floats:
    """Bring Mel power of any shape to decibels, -80 to 0, scaled to [-1, 1].

    What is not heard has no power and lies at -1. `reference` is the power of 0 dB; with the
    clip's maximum instead of the fixed one it is the thesis's form (section 7.3.4).
    """
    ratio = power / np.float32(max(reference, TINY))
    decibels: Floats = np.clip(10 * np.log10(np.maximum(ratio, TINY)), FLOOR_DB, 0)
    return 1 - decibels * np.float32(2 / FLOOR_DB)


def without_level(power: Floats) -> Floats:
    """Bring Mel power `(128, C)` to decibels against its own loud part, scaled to [-1, 1].

    0 dB is a band's mean power, of those up to 4 kHz, over the columns within 20 dB of the loudest:
    neither a recording's level nor what a telephone cuts off moves it much. -1 is -45 dB and less,
    1 is 25 dB and more; what is not heard lies at -1.
    """
    totals = power[:VOICE_BANDS].sum(axis=0)
    loud = totals[totals >= totals.max() * QUIET]
    reference = max(float(loud.mean()) / VOICE_BANDS, TINY)
    decibels = 10 * np.log10(np.maximum(power / np.float32(reference), TINY))
    low, high = RELATIVE_DB
    scaled: Floats = 2 * (np.clip(decibels, low, high) - low) / (high - low) - 1
    return scaled


def level_db(power: Floats) -> Floats:
    """Return the level of every column, over all bands: `(128, C)` to `(C,)` dB against the
    reference."""
    total: Floats = power.sum(axis=0) / np.float32(REFERENCE)
    decibels: Floats = 10 * np.log10(np.maximum(total, TINY))
    return decibels


def share_with_sound(power: Floats, heard: NDArray[np.bool_]) -> float:
    """Share of the columns `(128, C)` that were heard, `(C,)`, and are no silence: 0 to 1."""
    return float(np.mean(heard & (level_db(power) > SILENCE_DB)))


def _power(pieces: Floats) -> Floats:
    """Return Mel power `(C, 128)` of signals `(C, 2048)`."""
    spectrum = np.fft.rfft(pieces * _hann()).astype(np.complex64, copy=False)
    power: Floats = (np.square(spectrum.real) + np.square(spectrum.imag)) @ filter_bank().T
    return power


@cache
def _hann() -> Floats:
    """Return Hann's window of 2048 samples, periodic."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FFT) / FFT)).astype(np.float32)


@cache
def filter_bank() -> Floats:
    """Return triangles `(128, 1025)` of equal area on Slaney's Mel scale, from 0 to 11 025 Hz.

    They equal `librosa.filters.mel(sr=22050, n_fft=2048, n_mels=128)`; librosa itself is not
    asked, as it brings a compiler along and takes seconds to import.
    """
    edges = _mel_to_hz(np.linspace(0, _hz_to_mel(RATE_HZ / 2), BANDS + 2))
    bins = np.fft.rfftfreq(FFT, 1 / RATE_HZ)
    widths = np.diff(edges)[:, None]
    rising = (bins - edges[:-2, None]) / widths[:-1]
    falling = (edges[2:, None] - bins) / widths[1:]
    triangles = np.maximum(0, np.minimum(rising, falling))
    return (triangles * 2 / (edges[2:] - edges[:-2])[:, None]).astype(np.float32)


def _hz_to_mel(hz: float) -> float:
    return BEND_MEL + math.log(hz / BEND_HZ) / LOG_STEP


def _mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    linear = mel * BEND_HZ / BEND_MEL
    return np.where(mel < BEND_MEL, linear, BEND_HZ * np.exp(LOG_STEP * (mel - BEND_MEL)))
