"""Recipes of single-frame affect models, and how to carry one out: ANCLaF, Vi(-De), Au(-De)."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import ConfigDict

from handlers.affect_setup import save_affect
from handlers.networks.affect import FACE, VARIANTS, AffectNetworks, build, variant
from handlers.training.affect.faces import FaceBatches, Moving
from handlers.training.affect.latent import LatentLearner, Weighing
from handlers.training.affect.recorded import CACHE, RecordingSource, folder_of, read_reels
from handlers.training.affect.recorded_frames import (
    FRAMED,
    RecordedFaceBatches,
    RecordedVoiceBatches,
)
from handlers.training.affect.sources import (
    FaceSource,
    SpeechSource,
    read_face_sets,
    read_voices,
)
from handlers.training.affect.speech import Recording, SpeechBatches
from handlers.training.faces import Degrading
from handlers.training.loop import Run, Schedule
from handlers.training.recipe import RecipeError
from handlers.training.run import plot_losses

LatentBatches = FaceBatches | SpeechBatches | RecordedFaceBatches | RecordedVoiceBatches


@dataclass(frozen=True)
class LatentRecipe:
    """How G, D and C of one modality are learnt from faces, speech or recordings, one of them.

    `name` is a variant's, which says what of the recordings is looked at or listened to. Without
    `degrading` (faces) or with `recording.degraded` 0 (sound) the inputs stay as they are: Vi and
    Au. `class_power` is the power of a class's share that a sample of it weighs, `context` the
    served crop's side over that of the landmarks' box. `moving` is by default what suits the faces:
    those of recordings are framed as served ones.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str
    version: str
    about: str
    licence: str
    schedule: Schedule
    faces: tuple[FaceSource, ...] = ()
    speech: SpeechSource | None = None
    recordings: RecordingSource | None = None
    size: str = "compact"
    norm: str = "batch"
    class_power: float = -0.3
    context: float = 1.25
    weighing: Weighing = field(default_factory=Weighing)
    moving: Moving | None = None
    degrading: Degrading | None = None
    recording: Recording = field(default_factory=Recording)


def run_latent_recipe(
    recipe: LatentRecipe, data: Path, runs: Path, store: Path, resume: bool
) -> Path:
    """Learn from what lies under `data`; the model ends in `store / name`.

    Checkpoints, the log of losses and its plot lie in `runs / name`, those of recordings in a
    folder of their set and fold; what is learnt from of them lies in `runs / recordings`.
    """
    torch.manual_seed(recipe.schedule.seed)
    learner = make_learner(recipe)
    run = Run(learner, recipe.schedule, folder_of(recipe.name, recipe.recordings, runs))
    run.fit(make_batches(recipe, data, runs), resume)
    if run.fabric.is_global_zero:
        plot_losses(run.folder)
        export(run, recipe, store)
    run.fabric.barrier()
    return store / recipe.name


def make_learner(recipe: LatentRecipe) -> LatentLearner:
    """The networks of a recipe in their learner. Raises RecipeError for what is no such variant."""
    if recipe.name not in VARIANTS:
        raise RecipeError(f"recipe {recipe.name!r} is called like no variant")
    if sum(map(bool, (recipe.faces, recipe.speech, recipe.recordings))) != 1:
        raise RecipeError(f"recipe {recipe.name!r}: give [[faces]], [speech] or [recordings]")
    networks = build(variant(recipe.name, recipe.size, norm=recipe.norm))
    if not isinstance(networks, AffectNetworks) or networks.config.recurrent:
        raise RecipeError(f"{recipe.name!r} is no single-frame variant with a combiner")
    return LatentLearner(networks, recipe.weighing)


def make_batches(recipe: LatentRecipe, data: Path, runs: Path) -> LatentBatches:
    """What a recipe's batches are drawn from."""
    if recipe.recordings is not None:
        return recorded_batches(recipe, recipe.recordings, data, runs)
    if recipe.speech is not None:
        voices = read_voices(data, recipe.speech)
        return SpeechBatches(voices, recipe.recording, recipe.class_power)
    sets = read_face_sets(data, recipe.faces)
    moving = recipe.moving or Moving()
    return FaceBatches(sets, moving, recipe.degrading, recipe.class_power)


def recorded_batches(
    recipe: LatentRecipe, source: RecordingSource, data: Path, runs: Path
) -> RecordedFaceBatches | RecordedVoiceBatches:
    """Batches of the faces of recordings or of what is heard in them, as the variant needs."""
    reels = read_reels(data, source, recipe.context, runs / CACHE)
    if VARIANTS[recipe.name].modalities == (FACE,):
        moving = recipe.moving or FRAMED
        return RecordedFaceBatches(reels, moving, recipe.degrading, recipe.class_power)
    return RecordedVoiceBatches(reels, recipe.recording, recipe.class_power)


def export(run: Run, recipe: LatentRecipe, store: Path) -> None:
    """Write the averaged weights and what rebuilds the networks to the store."""
    learner = make_learner(recipe)
    learner.load_state_dict(run.averaged().state_dict())
    config: dict[str, Any] = {
        "about": recipe.about,
        "licence": recipe.licence,
        "context": recipe.context,
        "recipe": asdict(recipe),
    }
    save_affect(learner.networks, store / recipe.name, config, recipe.version)
