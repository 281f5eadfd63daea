"""Acted speech to utterances, and sound of files and recordings: whole, mono, at 22 050 Hz."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import av
import librosa
import numpy as np
import soundfile  # type: ignore[import-untyped]

from handlers.processing.arrays import Doubles, Floats, Pcm
from handlers.processing.mel import FULL_SCALE, RATE_HZ
from handlers.training.datasets.affect.records import PLACES, Recording, Utterance

SUFFIXES = frozenset({".wav", ".ogg", ".flac", ".mp3"})


@dataclass(frozen=True)
class ActedSpeech:
    """A set of acted sentences whose files are named by actor, emotion and, maybe, intensity.

    `name` has the groups `actor`, `emotion` and `intensity`; `intensities` are shares of the
    emotion's place on the circumplex.
    """

    title: str
    name: re.Pattern[str]
    emotions: Mapping[str, str]
    intensities: Mapping[str, float]

    def read(self, root: Path) -> list[Utterance]:
        """Read every utterance below `root`, sorted by path; raises ValueError where there
        is none."""
        found = []
        for path in sorted(root.rglob("*")):
            match = self.name.fullmatch(path.stem)
            if match is None or path.suffix.lower() not in SUFFIXES:
                continue
            emotion, intensity = (
                self.emotions[match["emotion"]],
                self.intensities[match["intensity"]],
            )
            valence, arousal = (intensity * place for place in PLACES[emotion])
            found.append(Utterance(path, match["actor"], emotion, valence, arousal))
        if not found:
            raise ValueError(f"{root}: no file named as in {self.title} below it")
        return found


# Livingstone and Russo 2018: seven numbers, modality, channel, emotion, intensity (normal or
# strong), statement, repetition and actor, as in `03-01-05-02-01-01-12.wav`.
RAVDESS = ActedSpeech(
    "RAVDESS",
    re.compile(r"\d\d-\d\d-(?P<emotion>0[1-8])-(?P<intensity>0[12])-\d\d-\d\d-(?P<actor>\d\d)"),
    {
        "01": "neutral",
        "02": "calm",
        "03": "happiness",
        "04": "sadness",
        "05": "anger",
        "06": "fear",
        "07": "disgust",
        "08": "surprise",
    },
    {"01": 0.6, "02": 1.0},
)
# Burkhardt et al. 2005, German: speaker, sentence, emotion and version, as in `03a01Fa.wav`. The
# set does not say how strong an emotion was to be: the mean of RAVDESS's two intensities.
EMODB = ActedSpeech(
    "EMO-DB",
    re.compile(r"(?P<actor>\d\d)[ab]\d\d(?P<emotion>[WLEAFTN])(?P<intensity>)[a-g]"),
    {
        "W": "anger",
        "L": "boredom",
        "E": "disgust",
        "A": "fear",
        "F": "happiness",
        "T": "sadness",
        "N": "neutral",
    },
    {"": 0.8},
)


# By the names that recipes and layouts have for them.
SPOKEN = {"ravdess": RAVDESS, "emodb": EMODB}


def read_mono(path: Path) -> Floats:
    """Read a sound file (WAV, FLAC, Ogg, MP3) as float32 `(N,)` in [-1, 1], mono at 22 050 Hz.

    Raises ValueError for a file that is no sound.
    """
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise ValueError(f"{path}: no sound that can be read ({error})") from error
    # Not by `librosa.load`: on the way it imports modules that Python 3.13 no longer has.
    mono = librosa.to_mono(samples.T)
    return np.asarray(librosa.resample(mono, orig_sr=rate, target_sr=RATE_HZ), np.float32)


def mu_law(samples: Floats | Doubles) -> Doubles:
    """Code sound in eight bits by the mu-law and back, as a telephone has it; clipped to
    [-1, 1]."""
    steps = np.rint(127 * librosa.mu_compress(np.clip(samples, -1, 1), quantize=False))
    return np.asarray(librosa.mu_expand(steps / 127, quantize=False))


def to_pcm(samples: Floats) -> Pcm:
    """Turn float32 in [-1, 1] into int16; what is louder is clipped."""
    return np.asarray(np.clip(np.rint(samples * FULL_SCALE), -(2**15), 2**15 - 1), np.int16)


def sound_of(recording: Recording) -> Pcm | None:
    """Return a recording's sound, of its own file or of the video; None where there is none."""
    if recording.sound is not None:
        return to_pcm(read_mono(recording.sound))
    return None if recording.media.is_dir() else sound_in(recording.media)


def sound_in(path: Path) -> Pcm | None:
    """Return the first sound track of a video from time zero on; None without one."""
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


def _samples(frame: av.AudioFrame) -> Pcm:
    return np.asarray(frame.to_ndarray().reshape(-1), np.int16)
