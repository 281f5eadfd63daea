"""The recipe of arousal of voices, and how to carry it out."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import nn

from handlers.networks.affect import build
from handlers.networks.variants import variant
from handlers.networks.voice import VoiceNetwork
from handlers.training.affect.made.sources import HEARD, SpeechSource, read_utterances
from handlers.training.affect.voices.heard import hear_all
from handlers.training.affect.voices.learning import VoiceBatches, VoiceLearner
from handlers.training.loop import Schedule, Task
from handlers.training.recipe import LearnedRecipe, RecipeError

NAME = "voice"
# Where windows as they come are shown to the averaged network, for its normalisation.
SETTLING = 24


@dataclass(frozen=True, kw_only=True)
class VoiceRecipe(LearnedRecipe):
    """How a voice's arousal is learned. What is not `learned` may talk in the background only."""

    kind: Literal["voice"] = "voice"
    voices: tuple[SpeechSource, ...]
    size: str = "compact"

    def prepare(self, data: Path, runs: Path, store: Path) -> Task:
        utterances, rows = read_utterances(data, self.voices)
        batches = VoiceBatches(hear_all(utterances, runs / HEARD), utterances, rows)
        torch.manual_seed(self.schedule.seed)
        learner = VoiceLearner(_network(self))

        def export() -> None:
            settle(learner.network, batches, self.schedule)
            config = {"network": asdict(learner.network.config)}
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
