"""The recipe of arousal of voices, and how to carry it out."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from pydantic import ConfigDict
from torch import nn

from handlers.networks.affect import build
from handlers.networks.variants import variant
from handlers.networks.voice import VoiceNetwork
from handlers.training.affect.made.sources import HEARD, SpeechSource, read_utterances
from handlers.training.affect.stored import save_affect
from handlers.training.affect.voices.heard import hear_all
from handlers.training.affect.voices.learning import VoiceBatches, VoiceLearner
from handlers.training.align.recipe import RecipeError
from handlers.training.align.run import plot_losses
from handlers.training.loop import Run, Schedule

NAME = "voice"
# Where windows as they come are shown to the averaged network, for its normalisation.
SETTLING = 24


@dataclass(frozen=True)
class VoiceRecipe:
    """How a voice's arousal is learned. What is not `learned` may talk in the background only."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str
    version: str
    about: str
    licence: str
    schedule: Schedule
    voices: tuple[SpeechSource, ...]
    size: str = "compact"


def run_voice_recipe(
    recipe: VoiceRecipe, data: Path, runs: Path, store: Path, resume: bool
) -> Path:
    """Learn from what lies under `data`; the model ends in `store / name`."""
    utterances, rows = read_utterances(data, recipe.voices)
    heard = hear_all(utterances, runs / HEARD)
    batches = VoiceBatches(heard, utterances, rows)
    torch.manual_seed(recipe.schedule.seed)
    learned = [part.set for part in recipe.voices if part.learned]
    folder = runs / "-".join([recipe.name, *learned])
    run = Run(VoiceLearner(_network(recipe)), recipe.schedule, folder)
    run.fit(batches, resume)
    plot_losses(run.folder)
    learner = VoiceLearner(_network(recipe))
    learner.load_state_dict(run.averaged().state_dict())
    settle(learner.network, batches, recipe.schedule)
    config = {"about": recipe.about, "licence": recipe.licence, "recipe": asdict(recipe)}
    save_affect(learner.network, store / recipe.name, config, recipe.version)
    return store / recipe.name


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
