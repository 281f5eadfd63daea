"""A recipe of any kind, carried out."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import distributed

from handlers.engines.export import export_model
from handlers.training.affect.recipe import run_affect_recipe
from handlers.training.align.recipe import RecipeError
from handlers.training.align.run import run_recipe
from handlers.training.track.recipe import run_track_recipe


def train(path: Path, data: Path, runs: Path, store: Path, resume: bool = True) -> Path:
    """Train what the recipe describes on the data under `data`; the model ends in `store / name`,
    with the graphs that processors compute.

    Raises RecipeError for a recipe that cannot be read or carried out.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{path}: {error}") from error
    folder = _kind(content)(path, data, runs, store, resume)
    if not distributed.is_initialized() or distributed.get_rank() == 0:
        export_model(folder)
    return folder


def _kind(content: dict[str, Any]) -> Callable[[Path, Path, Path, Path, bool], Path]:
    """Who carries out a recipe of this content."""
    if "tracker" in content or "validator" in content:
        return run_track_recipe
    if {"faces", "speech", "recordings", "voices"} & content.keys():
        return run_affect_recipe
    return run_recipe
