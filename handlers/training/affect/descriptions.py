"""Utterances to tables of sound descriptors, and faces to batches that hear one of their word."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from handlers.predictors.affect.estimator import DescriptorScale
from handlers.processing.arrays import Floats, Pcm
from handlers.processing.audio_descriptors import (
    DESCRIPTORS,
    PICTURE_S,
    REACH,
    descriptors,
    is_silent,
)
from handlers.processing.mel import RATE_HZ
from handlers.training.affect.made.bank import SpeechSource, read_utterances
from handlers.training.affect.made.clips import FACE_WORDS
from handlers.training.affect.made.faces import FaceBatches
from handlers.training.datasets.affect.records import WORDS, Utterance
from handlers.training.datasets.affect.speech import read_mono, to_pcm
from handlers.training.loop import Batch


@dataclass(frozen=True)
class Hearing:
    """Windows of utterances: `windows` of 120 ms of each that are not silent, each louder or
    softer by `gain_db` (a standard deviation); `deaf` is the share of faces without sound."""

    windows: int = 8
    gain_db: float = 5.0
    deaf: float = 0.3


@dataclass(frozen=True, eq=False)
class Descriptions:
    """Descriptors of windows of utterances `(N, 50)`, as computed, with the utterances' labels
    `(N, 2)` and words."""

    values: Floats
    labels: Floats
    words: tuple[str, ...]

    def scale(self) -> DescriptorScale:
        """Return their means and standard deviations."""
        return DescriptorScale(self.values.mean(axis=0), self.values.std(axis=0))


def read_descriptions(
    data: Path, sources: Sequence[SpeechSource], hearing: Hearing
) -> Descriptions:
    """Read descriptors of what the sources' actors say: minutes for all of RAVDESS, hence only
    once.

    Raises MissingExtra where opensmile is not installed.
    """
    utterances, rows = read_utterances(data, sources)
    spoken = [utterances[row] for row in rows]
    return describe(((one, read_mono(one.path)) for one in spoken), hearing)


def describe(spoken: Iterable[tuple[Utterance, Floats]], hearing: Hearing) -> Descriptions:
    """Return descriptors of utterances with their samples `(N,)` at 22 050 Hz, the same every time.

    Raises ValueError where all is silence, MissingExtra where opensmile is not installed.
    """
    rng = np.random.default_rng(0)
    values, labels, words = [], [], []
    for one, samples in spoken:
        for window in windows_of(samples, hearing, rng):
            values.append(descriptors(window))
            labels.append((one.valence, one.arousal))
            words.append(one.emotion)
    if not values:
        raise ValueError("the utterances are all silent: nothing to describe")
    return Descriptions(np.stack(values), np.array(labels, np.float32), tuple(words))


def windows_of(samples: Floats, hearing: Hearing, rng: np.random.Generator) -> list[Pcm]:
    """Return at most `hearing.windows` pieces of 120 ms at random pictures' times, none silent."""
    step = round(PICTURE_S * RATE_HZ)
    pieces = []
    for centre in rng.permutation(np.arange(REACH, len(samples) - REACH + 1, step)):
        gain = 10 ** (rng.normal(0, hearing.gain_db) / 20)
        louder = gain * samples[centre - REACH : centre + REACH]
        pcm = to_pcm(louder)
        if not is_silent(pcm):
            pieces.append(pcm)
        if len(pieces) == hearing.windows:
            break
    return pieces


class HearingBatches:
    """Draws batches of faces, each with a window of any utterance of the same word.

    There is no recording of both at hand. The label is the mean of both labels, as in made clips;
    a face without sound hears the mean of all descriptors, as where it is served, and has its own.
    """

    def __init__(self, faces: FaceBatches, spoken: Descriptions, deaf: float) -> None:
        self.faces, self.deaf = faces, deaf
        self.heard, self.labels = spoken.scale().apply(spoken.values), spoken.labels
        words = np.array([FACE_WORDS.get(word, word) for word in spoken.words])
        self.places = [np.flatnonzero(words == word) for word in WORDS]

    def __call__(self, rng: np.random.Generator, size: int) -> Batch:
        """Return the same as of faces, with `heard` `(B, 50)` and the `label` `(B, 2)` of both
        together."""
        batch = self.faces(rng, size)
        heard = np.zeros((size, DESCRIPTORS), np.float32)
        labels = batch["label"].numpy().copy()
        for row, word in enumerate(batch["word"].tolist()):
            if len(self.places[word]) and rng.random() >= self.deaf:
                place = rng.choice(self.places[word])
                heard[row] = self.heard[place]
                labels[row] = (labels[row] + self.labels[place]) / 2
        both = {"heard": torch.from_numpy(heard), "label": torch.from_numpy(labels)}
        return {**batch, **both}
