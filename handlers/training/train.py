"""A recipe of any kind, carried out."""

import tomllib
from pathlib import Path

from handlers.training.recipe import RecipeError
from handlers.training.run import run_recipe
from handlers.training.track_recipe import run_track_recipe


def train(path: Path, data: Path, runs: Path, store: Path, resume: bool = True) -> Path:
    """Train what the recipe describes on the data under `data`; the model ends in `store / name`.

    Raises RecipeError for a recipe that cannot be read or carried out.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{path}: {error}") from error
    tracks = "tracker" in content or "validator" in content
    carry_out = run_track_recipe if tracks else run_recipe
    return carry_out(path, data, runs, store, resume)
