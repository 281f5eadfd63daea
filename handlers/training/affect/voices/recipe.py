"""The recipe of arousal of voices, and how to carry it out."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from handlers.networks.affect import VoiceNetwork, build
from handlers.networks.variants import variant
from handlers.processing.arrays import Floats
from handlers.processing.mel import BANDS, WINDOW, without_level
from handlers.training.affect.lines import fit_tone
from handlers.training.affect.made.bank import HEARD, SpeechSource, read_utterances
from handlers.training.affect.voices.heard import VERSIONS, HeardVoices, hear_all
from handlers.training.datasets.affect.records import WORDS, Utterance
from handlers.training.loop import Batch, Losses, Schedule, Task
from handlers.training.recipe import LearnedRecipe, RecipeError

# Valence and words are learned beside arousal and not kept: they make the features richer.
VALENCE, WORD, DISTANCE = 0.3, 0.3, 2.0
DROPPED = 0.2
HALF_HEARD, STRETCH, SHIFT, KNOTS_DB = 0.4, 0.1, 2, 1.5
NAME = "voice"
# Where windows as they come are shown to the averaged network, for its normalisation.
SETTLING = 24


class VoiceBatches:
    """Draws windows of some utterances, each version and place as likely as any other."""

    def __init__(
        self, heard: HeardVoices, utterances: Sequence[Utterance], rows: Sequence[int]
    ) -> None:
        self._heard, self._rows = heard, np.asarray(rows)
        self._labels = np.array([[one.valence, one.arousal] for one in utterances], np.float32)
        self._words = np.array([WORDS.index(one.emotion) for one in utterances])

    def __call__(self, rng: np.random.Generator, size: int) -> Batch:
        """Return `seen` `(B, 128, 128)` in [-1, 1], `label` `(B, 2)`, `word` `(B,)`."""
        rows = rng.choice(self._rows, size)
        seen = np.stack([self._window(int(row), rng) for row in rows])
        return {
            "seen": torch.from_numpy(seen),
            "label": torch.from_numpy(self._labels[rows]),
            "word": torch.from_numpy(self._words[rows]),
        }

    def _window(self, row: int, rng: np.random.Generator) -> Floats:
        """Draw one at a random time, a little faster or slower, higher or lower, by a random
        microphone; often its end is not heard yet, as in a live stream."""
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
        """Return losses of a batch; arousal's are one minus the concordance and the squared
        error."""
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
    """Return Lin's concordance correlation of a batch."""
    covariance = ((estimate - estimate.mean()) * (label - label.mean())).mean()
    spread = estimate.var(unbiased=False) + label.var(unbiased=False)
    return 2 * covariance / (spread + (estimate.mean() - label.mean()).square())


@dataclass(frozen=True, kw_only=True)
class VoiceRecipe(LearnedRecipe):
    """Training of a voice's arousal. What is not `learned` may talk in the background only.

    A line through how a voice sounds counts `share` beside the network.
    """

    kind: Literal["voice"] = "voice"
    voices: tuple[SpeechSource, ...]
    size: str = "compact"
    share: float = 0.5

    def prepare(self, data: Path, runs: Path, store: Path) -> Task:
        utterances, rows = read_utterances(data, self.voices)
        heard = hear_all(utterances, runs / HEARD)
        batches = VoiceBatches(heard, utterances, rows)
        torch.manual_seed(self.schedule.seed)
        learner = VoiceLearner(_network(self))

        def export() -> None:
            settle(learner.network, batches, self.schedule)
            config = {
                "network": asdict(learner.network.config),
                "line": fit_tone(heard, utterances, rows),
                "share": self.share,
            }
            self.save(store, config, learner.network.state_dict())

        learned = [part.set for part in self.voices if part.learned]
        folder = runs / "-".join([self.name, *learned])
        return Task(learner, self.schedule, batches, folder, export)


def settle(network: VoiceNetwork, batches: VoiceBatches, schedule: Schedule) -> None:
    """Measure the means and variances that the averaged weights make."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.reset_running_stats()
            module.momentum = None
    rng = np.random.default_rng([schedule.seed, schedule.steps])
    network.train()
    with torch.no_grad():
        for _ in range(SETTLING):
            network.features(batches(rng, schedule.batch)["seen"])
    network.eval()


def _network(recipe: VoiceRecipe) -> VoiceNetwork:
    network = build(variant(NAME, recipe.size))
    if not isinstance(network, VoiceNetwork):
        raise RecipeError(f"{NAME} is no network of voices")
    return network
