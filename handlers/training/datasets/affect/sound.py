"""Sound files to Mel power, for training: whole signals, mixed down and resampled."""

from pathlib import Path

import numpy as np
import soundfile  # type: ignore[import-untyped]
import soxr  # type: ignore[import-untyped]

from handlers.processing.mel import RATE_HZ, Floats, mel_power


def read_mono(path: Path) -> Floats:
    """A sound file (WAV, FLAC, Ogg, MP3) as float32 `(N,)` in [-1, 1], mono at 22 050 Hz.

    Raises ValueError for a file that is no sound.
    """
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise ValueError(f"{path}: no sound that can be read ({error})") from error
    mono = samples.mean(axis=1)
    return np.asarray(soxr.resample(mono, rate, RATE_HZ, quality="HQ"), np.float32)


def read_mel_power(path: Path) -> Floats:
    """The Mel power `(128, T)` of a sound file, a column every 512 samples (23.2 ms)."""
    return np.asarray(mel_power(read_mono(path)), np.float32)
