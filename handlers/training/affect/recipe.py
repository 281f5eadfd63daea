"""Recipes of affect models, of any kind, read and carried out."""

import tomllib
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from handlers.training.affect.clip_recipe import ClipRecipe, run_clip_recipe
from handlers.training.affect.conditional_recipe import (
    ConditionalRecipe,
    is_conditional,
    run_conditional_recipe,
)
from handlers.training.affect.expressions.recipe import (
    ExpressionRecipe,
    is_expressive,
    run_expression_recipe,
)
from handlers.training.affect.latent_recipe import LatentRecipe, run_latent_recipe
from handlers.training.affect.voices.recipe import VoiceRecipe, run_voice_recipe
from handlers.training.align.recipe import RecipeError

AffectRecipe = LatentRecipe | ConditionalRecipe | ClipRecipe | ExpressionRecipe | VoiceRecipe


def read_affect_recipe(path: Path) -> AffectRecipe:
    """Read a recipe; an unknown key, a missing one or a wrong type raises RecipeError."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        kind: type[AffectRecipe] = LatentRecipe
        if "stages" in content:
            kind = ClipRecipe
        elif is_expressive(str(content.get("name"))):
            kind = ExpressionRecipe
        elif "voices" in content:
            kind = VoiceRecipe
        elif is_conditional(str(content.get("name"))):
            kind = ConditionalRecipe
        return TypeAdapter(kind).validate_python(content)
    except (ValidationError, tomllib.TOMLDecodeError) as error:
        raise RecipeError(f"{path}: {error}") from error


def run_affect_recipe(path: Path, data: Path, runs: Path, store: Path, resume: bool = True) -> Path:
    """Carry out a recipe on what lies under `data`; the model ends in `store / name`.

    With `resume` a stopped run goes on from its last checkpoint in `runs`.
    """
    recipe = read_affect_recipe(path)
    if isinstance(recipe, ClipRecipe):
        return run_clip_recipe(recipe, data, runs, store, resume)
    if isinstance(recipe, ExpressionRecipe):
        return run_expression_recipe(recipe, data, runs, store, resume)
    if isinstance(recipe, VoiceRecipe):
        return run_voice_recipe(recipe, data, runs, store, resume)
    if isinstance(recipe, ConditionalRecipe):
        return run_conditional_recipe(recipe, data, runs, store, resume)
    return run_latent_recipe(recipe, data, runs, store, resume)
