"""Recipes of chapter 5, and how to carry one out: Disc, AEG-CD, AEG-CD-SZ."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from handlers.networks.affect import ConditionalNetworks, build
from handlers.networks.variants import VARIANTS, variant
from handlers.predictors.affect.inputs import DescriptorScale
from handlers.processing.audio_descriptors import MissingExtra, need_extractor
from handlers.training.affect.conditional import ConditionalLearner, Contest, PlainLearner
from handlers.training.affect.descriptions import Hearing, HearingBatches, read_descriptions
from handlers.training.affect.made.faces import FaceBatches
from handlers.training.affect.made.sources import read_face_sets
from handlers.training.affect.recorded.frames import RecordedFaceBatches
from handlers.training.affect.recorded.reels import CACHE, read_reels
from handlers.training.affect.single_recipe import SingleRecipe, begin, finish, framing_of
from handlers.training.align.recipe import RecipeError

Learner = PlainLearner | ConditionalLearner
Batches = FaceBatches | RecordedFaceBatches | HearingBatches


@dataclass(frozen=True)
class ConditionalRecipe(SingleRecipe):
    """How D, alone or against G, learns to estimate affect itself, from faces or recordings.

    The one that hears learns from `faces` with `speech`: sets of single faces whose sound is an
    utterance of the same word, heard as `hearing` says. `contest` weighs the losses where there is
    a G.
    """

    contest: Contest = field(default_factory=Contest)
    hearing: Hearing = field(default_factory=Hearing)


def is_conditional(name: str) -> bool:
    """Whether a name is a variant's of chapter 5."""
    return name in VARIANTS and VARIANTS[name].estimator == "discriminator"


def run_conditional_recipe(
    recipe: ConditionalRecipe, data: Path, runs: Path, store: Path, resume: bool
) -> Path:
    """Learn from what lies under `data`; the model ends in `store / name`.

    Raises RecipeError where the recipe makes no sense, and where it needs opensmile that is not
    installed.
    """
    run = begin(recipe, make_learner, runs)
    batches, scale = make_batches(recipe, data, runs)
    run.fit(batches, resume)
    described: dict[str, Any] = {}
    if scale is not None:
        described["descriptors"] = {"mean": scale.mean.tolist(), "std": scale.std.tolist()}
    return finish(run, recipe, make_learner, store, described)


def make_learner(recipe: ConditionalRecipe) -> Learner:
    """The networks of a recipe in their learner. Raises RecipeError for one of no such variant."""
    if not is_conditional(recipe.name):
        raise RecipeError(f"recipe {recipe.name!r} is called like no variant of chapter 5")
    if bool(recipe.faces) == (recipe.recordings is not None):
        raise RecipeError(f"recipe {recipe.name!r}: give [[faces]] or [recordings]")
    networks = build(variant(recipe.name, recipe.size, norm=recipe.norm))
    assert isinstance(networks, ConditionalNetworks)
    if networks.config.conditioned != bool(recipe.speech):
        raise RecipeError(f"recipe {recipe.name!r}: [[speech]] is for what hears, and only for it")
    if recipe.speech and recipe.recordings is not None:
        raise RecipeError(
            f"{recipe.name!r} learns from [[faces]] with [[speech]] and no recordings"
        )
    if networks.generator is None:
        return PlainLearner(networks)
    return ConditionalLearner(networks, recipe.contest)


def make_batches(
    recipe: ConditionalRecipe, data: Path, runs: Path
) -> tuple[Batches, DescriptorScale | None]:
    """What a recipe's batches are drawn from, and the scale of the descriptors in them."""
    power = recipe.class_power
    if recipe.recordings is not None:
        reels = read_reels(data, recipe.recordings, recipe.context, runs / CACHE)
        return RecordedFaceBatches(reels, recipe.moving, recipe.degrading, power), None
    if recipe.speech:
        need_extra(recipe.name)
    sets = read_face_sets(data, recipe.faces, framing_of(recipe, runs))
    faces = FaceBatches(sets, recipe.moving, recipe.degrading, power, recipe.drawing)
    if not recipe.speech:
        return faces, None
    spoken = read_descriptions(data, recipe.speech, recipe.hearing)
    return HearingBatches(faces, spoken, recipe.hearing.deaf), spoken.scale()


def need_extra(name: str) -> None:
    """Raise RecipeError, which says what to install, unless descriptors can be computed."""
    try:
        need_extractor()
    except MissingExtra as error:
        raise RecipeError(f"recipe {name!r}: {error}") from error
