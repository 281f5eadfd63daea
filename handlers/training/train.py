"""A recipe of any kind, read and carried out."""

import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError
from torch import distributed

from handlers.engines.export import export_model
from handlers.training.affect.clip_recipe import ClipRecipe
from handlers.training.affect.expressions.recipe import ExpressionRecipe
from handlers.training.affect.single_recipe import ConditionalRecipe, LatentRecipe
from handlers.training.affect.voices.recipe import VoiceRecipe
from handlers.training.align.recipe import AlignmentRecipe
from handlers.training.recipe import RecipeError
from handlers.training.track.recipe import AssemblyRecipe, BoxTrackerRecipe, FaceValidatorRecipe

AnyRecipe = Annotated[
    AlignmentRecipe
    | BoxTrackerRecipe
    | FaceValidatorRecipe
    | AssemblyRecipe
    | LatentRecipe
    | ConditionalRecipe
    | ClipRecipe
    | ExpressionRecipe
    | VoiceRecipe,
    Field(discriminator="kind"),
]
RECIPES: TypeAdapter[AnyRecipe] = TypeAdapter(AnyRecipe)


def read_recipe(path: Path) -> AnyRecipe:
    """Read a recipe; an unknown key, a missing one or a wrong type raises RecipeError."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        # Of an empty kind the error names those that there are.
        return RECIPES.validate_python({"kind": "", **content})
    except (ValidationError, tomllib.TOMLDecodeError) as error:
        raise RecipeError(f"{path}: {error}") from error


def train(path: Path, data: Path, runs: Path, store: Path, resume: bool = True) -> Path:
    """Train what the recipe describes on the data under `data`; the model ends in `store / name`,
    with the graphs that processors compute.

    Raises RecipeError for a recipe that cannot be read or carried out.
    """
    recipe = read_recipe(path)
    try:
        recipe.run(data, runs, store, resume)
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from error
    folder = store / recipe.name
    if not distributed.is_initialized() or distributed.get_rank() == 0:
        export_model(folder)
    return folder
