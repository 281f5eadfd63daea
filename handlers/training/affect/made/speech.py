"""Utterances to batches of Mel windows: cut at any time, coloured, half heard, and degraded."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import one_hot

from handlers.processing.mel import BANDS, WINDOW, Floats, to_network
from handlers.training.affect.losses import class_weights
from handlers.training.affect.made.spectrograms import degrade_power
from handlers.training.datasets.affect.records import WORDS, soft_quadrants
from handlers.training.loop import Batch


@dataclass(frozen=True, eq=False)
class Voices:
    """Utterances in memory: Mel power `(128, T)` of each, labels `(N, 2)`, words and actors, and
    of each what other channels make of it."""

    powers: tuple[Floats, ...]
    labels: Floats
    emotions: tuple[str, ...]
    actors: tuple[str, ...]
    channels: tuple[tuple[Floats, ...], ...] = ()

    def __len__(self) -> int:
        return len(self.powers)

    def of(self, actors: Sequence[str]) -> "Voices":
        """The utterances of some actors."""
        kept = [i for i, actor in enumerate(self.actors) if actor in actors]
        return Voices(
            tuple(self.powers[i] for i in kept),
            self.labels[kept],
            tuple(self.emotions[i] for i in kept),
            tuple(self.actors[i] for i in kept),
            tuple(self.channels[i] for i in kept if self.channels),
        )


@dataclass(frozen=True)
class Microphone:
    """An utterance's way into training: by which microphone, how loud, how far.

    `gain_db` and `colour_db` are standard deviations, `stretch` and `bands` the most that time is
    stretched and the spectrum shifted. `half_heard` is the share of windows whose right part is
    missing, as in a live stream; `degraded` the share that is degraded; `channelled` the share
    that comes by a room, company, a telephone or a codec.
    """

    gain_db: float = 5.0
    colour_db: float = 3.0
    stretch: float = 0.12
    bands: float = 2.0
    half_heard: float = 0.35
    degraded: float = 0.5
    channelled: float = 0.0


class SpeechBatches:
    """Draws batches for `LatentLearner` from utterances; every actor and emotion as they come."""

    def __init__(self, voices: Voices, recording: Microphone, power: float) -> None:
        self.voices, self.recording = voices, recording
        self.weights = class_weights(voices.labels, power)

    def __call__(self, rng: np.random.Generator, size: int) -> Batch:
        """`clean` and `seen` `(B, 3, 128, 128)` in [-1, 1], `label` and `weight` `(B, 2)`,
        `quadrant` `(B, 4)` and the shares of all WORDS, `words`."""
        clean, seen = [], []
        indices = rng.integers(len(self.voices), size=size)
        for index in indices:
            power = recorded(self._power(int(index), rng), self.recording, rng)
            as_it_is, as_heard = both_forms(power, self.recording, rng)
            clean.append(as_it_is)
            seen.append(as_heard)
        labels = self.voices.labels[indices]
        words = torch.tensor([WORDS.index(self.voices.emotions[i]) for i in indices])
        return {
            "clean": to_tensor(clean),
            "seen": to_tensor(seen),
            "label": torch.from_numpy(labels),
            "weight": torch.from_numpy(self.weights[indices]),
            "quadrant": torch.from_numpy(soft_quadrants(labels)),
            "words": one_hot(words, len(WORDS)).float(),
        }

    def _power(self, index: int, rng: np.random.Generator) -> Floats:
        others = self.voices.channels[index] if self.voices.channels else ()
        if others and rng.random() < self.recording.channelled:
            return others[int(rng.integers(len(others)))]
        return self.voices.powers[index]


def to_tensor(powers: Sequence[Floats]) -> Tensor:
    """Mel power windows `(128, 128)` -> network inputs `(B, 3, 128, 128)` of equal channels."""
    decibels = torch.from_numpy(to_network(np.stack(powers)))
    return decibels[:, None].expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)


def window_at(power: Floats, column: int) -> Floats:
    """The window `(128, 128)` of Mel power `(128, T)` centred on a column; beyond it is nothing."""
    begin = column - WINDOW // 2
    low, high = max(begin, 0), min(begin + WINDOW, power.shape[1])
    window = np.zeros((BANDS, WINDOW), np.float32)
    if low < high:
        window[:, low - begin : high - begin] = power[:, low:high]
    return window


def recorded(
    power: Floats, recording: Microphone, rng: np.random.Generator, centre: float | None = None
) -> Floats:
    """A window through a random microphone, at a column or at a random time of an utterance."""
    stretch = 1 + rng.uniform(-recording.stretch, recording.stretch)
    shift = rng.uniform(-recording.bands, recording.bands)
    if centre is None:
        centre = rng.uniform(0.2, 0.8) * power.shape[1]
    offset = centre - stretch * WINDOW / 2
    matrix = np.array([[stretch, 0.0, offset], [0.0, 1.0, shift]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    window = cv2.warpAffine(power, matrix, (WINDOW, BANDS), flags=flags)
    knots = rng.normal(0, recording.colour_db, 6)
    colour = np.interp(np.linspace(0, 5, BANDS), np.arange(6), knots)
    decibels = colour[:, None] + rng.normal(0, recording.gain_db)
    return np.asarray(np.maximum(window, 0) * 10 ** (decibels / 10), np.float32)


def both_forms(
    window: Floats, recording: Microphone, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """A window as it is and, by chance, degraded; by chance the end of both is not heard."""
    heard = WINDOW
    if rng.random() < recording.half_heard:
        heard = int(rng.integers(WINDOW // 2 - 2, WINDOW))
    worse = window
    if rng.random() < recording.degraded:
        worse = degrade_power(window, rng)
    return _until(window, heard), _until(worse, heard)


def _until(power: Floats, heard: int) -> NDArray[np.float32]:
    """The window with what comes after the first `heard` columns not heard."""
    if heard >= WINDOW:
        return power
    return np.concatenate([power[:, :heard], np.zeros_like(power[:, heard:])], axis=1)
