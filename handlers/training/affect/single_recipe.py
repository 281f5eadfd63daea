"""What the recipes of single-frame affect models share: fields, a run, and what is stored of it."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import ConfigDict

from handlers.training.affect.conditional import ConditionalLearner, PlainLearner
from handlers.training.affect.framed import BOXES, Framing
from handlers.training.affect.latent import LatentLearner
from handlers.training.affect.made.faces import Moving
from handlers.training.affect.made.sources import FaceSource, SpeechSource
from handlers.training.affect.recorded.reels import RecordingSource, folder_of
from handlers.training.affect.stored import load_affect, save_affect
from handlers.training.align.run import plot_losses
from handlers.training.faces import Degrading
from handlers.training.loop import Run, Schedule

RANDOM = "random"


@dataclass(frozen=True)
class SingleRecipe:
    """How networks that know no time are learnt from faces, speech or recordings.

    `name` is a variant's. `start` is where the weights begin: "random", or the folder of a model
    of the same networks. Without `degrading` faces stay as they are. `class_power` is the power of
    a class's share that a sample of it weighs, `drawing` that of how many faces have a face's word
    by which it is drawn, see `FaceBatches`; `context` is the served crop's side over that of the
    landmarks' box, and `aligner` the model store whose `dfa` finds the landmarks of photographs.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str
    version: str
    about: str
    licence: str
    schedule: Schedule
    faces: tuple[FaceSource, ...] = ()
    speech: tuple[SpeechSource, ...] = ()
    recordings: RecordingSource | None = None
    size: str = "compact"
    norm: str = "batch"
    start: str = RANDOM
    aligner: str = "model_store"
    class_power: float = -0.3
    drawing: float = -0.6
    context: float = 1.15
    moving: Moving = Moving()
    degrading: Degrading | None = None


Learner = LatentLearner | PlainLearner | ConditionalLearner
Some = TypeVar("Some", bound=SingleRecipe)


def framing_of(recipe: SingleRecipe, runs: Path) -> Framing:
    """How the faces of a recipe's sets are cut out."""
    return Framing(Path(recipe.aligner), runs / BOXES, recipe.context)


def begin(recipe: Some, make_learner: Callable[[Some], Learner], runs: Path) -> Run:
    """A recipe's run, whose random numbers are the seed's.

    Checkpoints, the log of losses and its plot lie in `runs / name`, those of recordings in a
    folder of their set and fold; what is learnt from of them lies in `runs / recordings`.
    """
    torch.manual_seed(recipe.schedule.seed)
    learner = make_learner(recipe)
    if recipe.start != RANDOM:
        learner.networks.load_state_dict(load_affect(Path(recipe.start))[0].state_dict())
    return Run(learner, recipe.schedule, folder_of(recipe.name, recipe.recordings, runs))


def finish(
    run: Run,
    recipe: Some,
    make_learner: Callable[[Some], Learner],
    store: Path,
    described: Mapping[str, Any],
) -> Path:
    """Write the averaged weights and what rebuilds the networks to `store / name`."""
    if run.fabric.is_global_zero:
        plot_losses(run.folder)
        learner = make_learner(recipe)
        learner.load_state_dict(run.averaged().state_dict())
        config = {
            "about": recipe.about,
            "licence": recipe.licence,
            "context": recipe.context,
            "recipe": asdict(recipe),
            **described,
        }
        save_affect(learner.networks, store / recipe.name, config, recipe.version)
    run.fabric.barrier()
    return store / recipe.name
