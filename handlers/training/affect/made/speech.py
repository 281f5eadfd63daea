"""Utterances to batches of Mel windows: cut at any time, coloured, half heard, and degraded.

Degradations of Mel spectrograms (7.3.4) are noise, masked bands and times, and a low level.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from handlers.processing.arrays import Floats
from handlers.processing.mel import BANDS, RATE_HZ, REFERENCE, WINDOW, mel_power, to_network
from handlers.training.affect.losses import class_weights
from handlers.training.datasets.affect.records import WORDS, soft_quadrants
from handlers.training.loop import Batch

# Power of a band in which a quiet room lies.
ROOM = 1e-4
WHITE_S = 60
# Level over all bands of white noise that reaches as high as a voice of RAVDESS does.
LOUD_DB = -45.0, -17.0


def degrade_power(power: Floats, rng: np.random.Generator, name: str | None = None) -> Floats:
    """Return a degraded copy of Mel power `(128, T)` by "noise", "bands", "times" or "level".

    Without a name one is drawn. Raises KeyError for a name that is none.
    """
    chosen = str(rng.choice(list(DEGRADATIONS))) if name is None else name
    return DEGRADATIONS[chosen](power, rng)


def noise_alone(columns: int, rng: np.random.Generator) -> Floats:
    """Return Mel power `(128, columns)` of white noise and nothing else, as loud as some voice.

    Not as the one it takes the place of: its loudness would tell of arousal.
    """
    level = 10 ** (rng.uniform(*LOUD_DB) / 10) * REFERENCE / BANDS
    return np.float32(level) * white(columns, rng)


def white(columns: int, rng: np.random.Generator) -> Floats:
    """Return Mel power `(128, columns)` of white noise, 1 in the mean of every band.

    Its bands waver as those of real noise do: high ones, which are wide, the least.
    """
    noise = _white()
    begin = int(rng.integers(noise.shape[1]))
    # Round and round: a minute of noise may be shorter than what is asked for.
    return np.asarray(noise.take(np.arange(begin, begin + columns), axis=1, mode="wrap"))


@cache
def _white() -> Floats:
    samples = np.random.default_rng(0).standard_normal(WHITE_S * RATE_HZ, dtype=np.float32)
    # At both ends the windows of 2048 samples reach beyond the signal.
    power = mel_power(samples)[:, 2:-2]
    return np.asarray(power / power.mean(axis=1, keepdims=True))


def _noise(power: Floats, rng: np.random.Generator) -> Floats:
    """Add steady noise of a random colour, 20 dB below to 10 dB above the speech."""
    loudest = max(float(np.percentile(power.sum(axis=0), 90)), ROOM)
    tilt = np.linspace(0, rng.uniform(-3, 1), BANDS)[:, None]
    shape = 10**tilt / (10**tilt).sum()
    level = loudest * 10 ** (rng.uniform(-20, 10) / 10)
    return np.asarray(power + level * shape * white(power.shape[1], rng), np.float32)


def _bands(power: Floats, rng: np.random.Generator) -> Floats:
    """Drop one to three bands, or all above a cut-off, as a telephone has it."""
    kept = np.ones((BANDS, 1), np.float32)
    if rng.random() < 0.3:
        kept[int(rng.integers(48, 100)) :] = 0
    for _ in range(int(rng.integers(1, 4))):
        begin = int(rng.integers(BANDS))
        kept[begin : begin + int(rng.integers(4, 24))] = 0
    return np.asarray(power * kept, np.float32)


def _times(power: Floats, rng: np.random.Generator) -> Floats:
    """Drop one to three stretches, as when packets are lost."""
    kept = np.ones((1, power.shape[1]), np.float32)
    for _ in range(int(rng.integers(1, 4))):
        begin = int(rng.integers(power.shape[1]))
        kept[:, begin : begin + int(rng.integers(5, 30))] = 0
    return np.asarray(power * kept, np.float32)


def _level(power: Floats, rng: np.random.Generator) -> Floats:
    """Lower the level by 10 to 30 dB, above the noise of the microphone."""
    noise = 1e-8 * white(power.shape[1], rng)
    return np.asarray(power * 10 ** (rng.uniform(-30, -10) / 10) + noise, np.float32)


DEGRADATIONS: dict[str, Callable[[Floats, np.random.Generator], Floats]] = {
    "noise": _noise,
    "bands": _bands,
    "times": _times,
    "level": _level,
}


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
        """Return the utterances of some actors."""
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
        """Return `clean` and `seen` `(B, 3, 128, 128)` in [-1, 1], `label` and `weight` `(B, 2)`,
        `quadrant` `(B, 4)` and the shares of all WORDS, `words`."""
        indices = rng.integers(len(self.voices), size=size)
        windows = (recorded(self._power(int(i), rng), self.recording, rng) for i in indices)
        sound = both_forms(windows, self.recording, rng)
        labels = self.voices.labels[indices]
        words = torch.tensor([WORDS.index(self.voices.emotions[i]) for i in indices])
        return {
            **sound,
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
    """Turn Mel power windows `(128, 128)` into network inputs `(B, 3, 128, 128)` of equal
    channels."""
    decibels = torch.from_numpy(to_network(np.stack(powers)))
    return decibels[:, None].expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)


def window_at(power: Floats, column: int) -> Floats:
    """Return the window `(128, 128)` of Mel power `(128, T)` centred on a column; beyond it is
    nothing."""
    begin = column - WINDOW // 2
    low, high = max(begin, 0), min(begin + WINDOW, power.shape[1])
    window = np.zeros((BANDS, WINDOW), np.float32)
    if low < high:
        window[:, low - begin : high - begin] = power[:, low:high]
    return window


def recorded(
    power: Floats, recording: Microphone, rng: np.random.Generator, centre: float | None = None
) -> Floats:
    """Return a window through a random microphone, at a column or at a random time of an
    utterance."""
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


def both_forms(windows: Iterable[Floats], recording: Microphone, rng: np.random.Generator) -> Batch:
    """Return windows as they are, `clean`, and by chance degraded, `seen`, both `(B, 3, 128, 128)`;
    by chance the end of both is not heard."""
    clean, seen = [], []
    for window in windows:
        heard = WINDOW
        if rng.random() < recording.half_heard:
            heard = int(rng.integers(WINDOW // 2 - 2, WINDOW))
        bad = rng.random() < recording.degraded
        clean.append(_until(window, heard))
        seen.append(_until(degrade_power(window, rng) if bad else window, heard))
    return {"clean": to_tensor(clean), "seen": to_tensor(seen)}


def _until(power: Floats, heard: int) -> Floats:
    """Return the window with what comes after the first `heard` columns not heard."""
    if heard >= WINDOW:
        return power
    return np.concatenate([power[:, :heard], np.zeros_like(power[:, heard:])], axis=1)
