"""Recipes of single-frame affect models, and how to carry one out: ANCLaF, Vi(-De), Au(-De)."""

from dataclasses import dataclass, field
from pathlib import Path

from handlers.networks.affect import AffectNetworks, build
from handlers.networks.variants import FACE, VARIANTS, variant
from handlers.training.affect.latent import LatentLearner, Weighing
from handlers.training.affect.made.faces import FaceBatches
from handlers.training.affect.made.sources import HEARD, read_face_sets, read_voices
from handlers.training.affect.made.speech import Recording, SpeechBatches
from handlers.training.affect.recorded.frames import RecordedFaceBatches, RecordedVoiceBatches
from handlers.training.affect.recorded.reels import CACHE, RecordingSource, read_reels
from handlers.training.affect.single_recipe import SingleRecipe, begin, finish, framing_of
from handlers.training.align.recipe import RecipeError

LatentBatches = FaceBatches | SpeechBatches | RecordedFaceBatches | RecordedVoiceBatches


@dataclass(frozen=True)
class LatentRecipe(SingleRecipe):
    """How G, D and C of one modality are learnt from faces, speech or recordings, one of them.

    The variant says what of the recordings is looked at or listened to. With `recording.degraded` 0
    sound stays as it is, and with that, or without `degrading`, come Au and Vi.
    """

    weighing: Weighing = field(default_factory=Weighing)
    recording: Recording = field(default_factory=Recording)


def run_latent_recipe(
    recipe: LatentRecipe, data: Path, runs: Path, store: Path, resume: bool
) -> Path:
    """Learn from what lies under `data`; the model ends in `store / name`."""
    run = begin(recipe, make_learner, runs)
    run.fit(make_batches(recipe, data, runs), resume)
    return finish(run, recipe, make_learner, store, {})


def make_learner(recipe: LatentRecipe) -> LatentLearner:
    """The networks of a recipe in their learner. Raises RecipeError for what is no such variant."""
    if recipe.name not in VARIANTS:
        raise RecipeError(f"recipe {recipe.name!r} is called like no variant")
    if sum(map(bool, (recipe.faces, recipe.speech, recipe.recordings))) != 1:
        raise RecipeError(f"recipe {recipe.name!r}: give [[faces]], [[speech]] or [recordings]")
    networks = build(variant(recipe.name, recipe.size, norm=recipe.norm))
    if not isinstance(networks, AffectNetworks) or networks.config.recurrent:
        raise RecipeError(f"{recipe.name!r} is no single-frame variant with a combiner")
    return LatentLearner(networks, recipe.weighing)


def make_batches(recipe: LatentRecipe, data: Path, runs: Path) -> LatentBatches:
    """What a recipe's batches are drawn from."""
    if recipe.recordings is not None:
        return recorded_batches(recipe, recipe.recordings, data, runs)
    if recipe.speech:
        channels = recipe.recording.channelled > 0
        voices = read_voices(data, recipe.speech, runs / HEARD, channels)
        return SpeechBatches(voices, recipe.recording, recipe.class_power)
    sets = read_face_sets(data, recipe.faces, framing_of(recipe, runs))
    power, drawing = recipe.class_power, recipe.drawing
    return FaceBatches(sets, recipe.moving, recipe.degrading, power, drawing)


def recorded_batches(
    recipe: LatentRecipe, source: RecordingSource, data: Path, runs: Path
) -> RecordedFaceBatches | RecordedVoiceBatches:
    """Batches of the faces of recordings or of what is heard in them, as the variant needs."""
    reels = read_reels(data, source, recipe.context, runs / CACHE)
    if VARIANTS[recipe.name].modalities == (FACE,):
        return RecordedFaceBatches(reels, recipe.moving, recipe.degrading, recipe.class_power)
    return RecordedVoiceBatches(reels, recipe.recording, recipe.class_power)
