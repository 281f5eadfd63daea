"""Sound of files and recordings, for training and evaluation: whole, mono, at 22 050 Hz."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile  # type: ignore[import-untyped]
import soxr  # type: ignore[import-untyped]
from numpy.typing import NDArray

from handlers.processing.mel import FULL_SCALE, RATE_HZ, Floats, mel_power
from handlers.training.datasets.affect.records import Recording

if TYPE_CHECKING:
    from av import AudioFrame

Pcm = NDArray[np.int16]


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


def to_pcm(samples: Floats) -> Pcm:
    """float32 in [-1, 1] -> int16; what is louder is clipped."""
    return np.asarray(np.clip(np.rint(samples * FULL_SCALE), -(2**15), 2**15 - 1), np.int16)


def sound_of(recording: Recording) -> Pcm | None:
    """A recording's sound, of its own file or of the video; None where there is none."""
    if recording.sound is not None:
        return to_pcm(read_mono(recording.sound))
    return None if recording.media.is_dir() else sound_in(recording.media)


def sound_in(path: Path) -> Pcm | None:
    """The first sound track of a video from time zero on; None without one."""
    import av

    with av.open(str(path)) as container:
        if not container.streams.audio:
            return None
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
        parts: list[Pcm] = []
        begin = 0
        for frame in container.decode(audio=0):
            if not parts and frame.time is not None:
                begin = round(frame.time * RATE_HZ)
            parts += [_samples(part) for part in resampler.resample(frame)]
        parts += [_samples(part) for part in resampler.resample(None)]
    heard = np.concatenate([np.zeros(max(begin, 0), np.int16), *parts])
    return np.asarray(heard[max(-begin, 0) :], np.int16)


def _samples(frame: "AudioFrame") -> Pcm:
    return np.asarray(frame.to_ndarray().reshape(-1), np.int16)
