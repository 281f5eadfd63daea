"""Recipes: one strict TOML file a model, read into what the training loop needs."""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ConfigDict, TypeAdapter, ValidationError

from handlers.training.augmentation import Augmentation
from handlers.training.faces import Degrading, Source
from handlers.training.loop import Schedule


@dataclass(frozen=True)
class LandmarkModel:
    """What `LandmarkNetwork` is built from."""

    backbone: str
    size: str
    head: str
    head_width: int = 64


@dataclass(frozen=True)
class DenoiserModel:
    """What a denoiser is built from: `kind` "direct", "stc" or "mtc", and the size.

    `classes` are the keys of `Degrading.kinds`, none for a direct denoiser.
    """

    kind: str
    size: str
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recipe:
    """How one model of the store is learnt.

    With `landmarks` alone a landmark network is trained, with `denoiser` alone an internal image
    denoiser, with both the two together (section 4.3.5). `about` says what it is, `licence` what
    the terms of the data leave to users of the weights. `start` names the models of the store that
    the first weights come from; what begins with a prefix in `fresh` is not taken over. With
    `behind` the denoiser stays as it is and the landmark network learns from crops of which that
    share has been through it. `notes` is what users of the weights must know of them.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str
    version: str
    about: str
    licence: str
    schedule: Schedule
    sources: tuple[Source, ...]
    landmarks: LandmarkModel | None = None
    denoiser: DenoiserModel | None = None
    degrading: Degrading | None = None
    augmentation: Augmentation = field(default_factory=Augmentation)
    start: tuple[str, ...] = ()
    fresh: tuple[str, ...] = ()
    behind: float | None = None
    notes: str = ""


class RecipeError(ValueError):
    """A recipe that cannot be read or carried out; the message says where and why."""


def read_recipe(path: Path) -> Recipe:
    """Read a recipe; an unknown key, a missing one or a wrong type raises RecipeError."""
    try:
        recipe = TypeAdapter(Recipe).validate_python(tomllib.loads(path.read_text()))
    except (ValidationError, tomllib.TOMLDecodeError) as error:
        raise RecipeError(f"{path}: {error}") from error
    if recipe.landmarks is None and recipe.denoiser is None:
        raise RecipeError(f"{path}: give [landmarks], [denoiser] or both")
    if recipe.behind is not None and (recipe.landmarks is None or recipe.denoiser is None):
        raise RecipeError(f"{path}: 'behind' needs [landmarks] and [denoiser]")
    if recipe.denoiser is not None and recipe.behind is None:
        _check_classes(path, recipe.denoiser, recipe.degrading)
    return recipe


def _check_classes(path: Path, denoiser: DenoiserModel, degrading: Degrading | None) -> None:
    if degrading is None:
        raise RecipeError(f"{path}: a denoiser needs [degrading]")
    expected = () if denoiser.kind == "direct" else tuple(degrading.kinds)
    if denoiser.classes != expected:
        raise RecipeError(
            f"{path}: the classes of a {denoiser.kind!r} denoiser must be {list(expected)}, "
            f"as in [degrading.kinds], not {list(denoiser.classes)}"
        )
