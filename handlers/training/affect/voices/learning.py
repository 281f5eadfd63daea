"""Windows of voices to batches, and their losses: arousal, beside it valence and words."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from handlers.networks.voice import VoiceNetwork
from handlers.processing.mel import BANDS, WINDOW, without_level
from handlers.training.affect.voices.heard import VERSIONS, HeardVoices
from handlers.training.datasets.affect.records import WORDS, Utterance
from handlers.training.loop import Batch, Losses

# Valence and words are learned beside arousal and not kept: they make the features richer.
VALENCE, WORD, DISTANCE = 0.3, 0.3, 2.0
DROPPED = 0.2
HALF_HEARD, STRETCH, SHIFT, KNOTS_DB = 0.4, 0.1, 2, 1.5


class VoiceBatches:
    """Draws windows of some utterances, each version and place as likely as any other."""

    def __init__(
        self, heard: HeardVoices, utterances: Sequence[Utterance], rows: Sequence[int]
    ) -> None:
        self._heard, self._rows = heard, np.asarray(rows)
        self._labels = np.array([[one.valence, one.arousal] for one in utterances], np.float32)
        self._words = np.array([WORDS.index(one.emotion) for one in utterances])

    def __call__(self, rng: np.random.Generator, size: int) -> Batch:
        """`seen` `(B, 128, 128)` in [-1, 1], `label` `(B, 2)`, `word` `(B,)`."""
        rows = rng.choice(self._rows, size)
        seen = np.stack([self._window(int(row), rng) for row in rows])
        return {
            "seen": torch.from_numpy(seen),
            "label": torch.from_numpy(self._labels[rows]),
            "word": torch.from_numpy(self._words[rows]),
        }

    def _window(self, row: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """One at a random time, a little faster or slower, higher or lower, by a random microphone;
        often its end is not heard yet, as in a live stream."""
        version, centre = int(rng.integers(VERSIONS)), rng.uniform(0.15, 0.85)
        heard = WINDOW
        if rng.random() < HALF_HEARD:
            heard = int(rng.integers(WINDOW // 2 - 2, WINDOW))
        stretch = rng.uniform(1 - STRETCH, 1 + STRETCH)
        power = self._heard.window(row, version, centre, stretch, heard)
        power = np.roll(power, int(rng.integers(-SHIFT, SHIFT + 1)), axis=0)
        knots = rng.normal(0, KNOTS_DB, 6)
        decibels = np.interp(np.linspace(0, 5, BANDS), np.arange(6), knots)[:, None]
        return without_level(np.asarray(power * 10 ** (decibels / 10), np.float32))


class VoiceLearner(nn.Module):
    """The network with heads that only training needs."""

    def __init__(self, network: VoiceNetwork) -> None:
        super().__init__()
        self.network = network
        self.beside = nn.Linear(network.head.in_features, 1 + len(WORDS))

    def forward(self, batch: Batch, progress: float) -> Losses:
        """Losses of a batch; arousal's are one minus the concordance and the squared error."""
        features = F.dropout(self.network.features(batch["seen"]), DROPPED, self.training)
        arousal = self.network.head(features)[:, 0].tanh()
        beside = self.beside(features)
        valence, words = beside[:, 0].tanh(), beside[:, 1:]
        wanted = batch["label"]
        losses = {
            "arousal": 1 - concordance(arousal, wanted[:, 1]),
            "distance": F.mse_loss(arousal, wanted[:, 1]),
            "valence": 1 - concordance(valence, wanted[:, 0]),
            "word": F.cross_entropy(words, batch["word"], label_smoothing=0.1),
        }
        weights = {"arousal": 1.0, "distance": DISTANCE, "valence": VALENCE, "word": WORD}
        total = sum((weights[name] * loss for name, loss in losses.items()), torch.zeros(()))
        return {"loss": total, **losses}


def concordance(estimate: Tensor, label: Tensor) -> Tensor:
    """Lin's concordance correlation of a batch."""
    covariance = ((estimate - estimate.mean()) * (label - label.mean())).mean()
    spread = estimate.var(unbiased=False) + label.var(unbiased=False)
    return 2 * covariance / (spread + (estimate.mean() - label.mean()).square())
