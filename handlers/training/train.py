"""A recipe of any kind, read and carried out."""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError
from torch import distributed

from handlers.engines.export import export_model
from handlers.training.affect.clip_recipe import ClipRecipe
from handlers.training.affect.expressions import ExpressionRecipe
from handlers.training.affect.made.bank import CITIZEN
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
Source = Mapping[str, Any]
RECIPES: TypeAdapter[AnyRecipe] = TypeAdapter(AnyRecipe)


def read_recipe(path: Path, without: Sequence[str] = (), changes: Sequence[str] = ()) -> AnyRecipe:
    """Read a recipe, `without` some sets as `leave_out` does it, and with `changes` such as
    "schedule.steps=500" in it, in TOML.

    A change of the schedule leaves a recipe that has none, as one that puts models together, as it
    is. An unknown key, a missing one or a wrong type raises RecipeError.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        for change in changes:
            wanted = tomllib.loads(change)
            if "schedule" not in content:
                wanted.pop("schedule", None)
            content = merged(content, wanted)
        if without:
            content = leave_out(content, without)
        # Of an empty kind the error names those that there are.
        return RECIPES.validate_python({"kind": "", **content})
    except (ValidationError, tomllib.TOMLDecodeError, RecipeError) as error:
        raise RecipeError(f"{path}: {error}") from error


def merged(content: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Put the values of a change over those of a table, those of tables in it one by one."""
    changed = dict(content)
    for key, value in change.items():
        before = changed.get(key, {})
        both = isinstance(value, Mapping) and isinstance(before, Mapping)
        changed[key] = merged(before, value) if both else value
    return changed


def train(
    path: Path,
    data: Path,
    runs: Path,
    store: Path,
    resume: bool = True,
    *,
    without: Sequence[str] = (),
    changes: Sequence[str] = (),
) -> Path:
    """Train what the recipe describes on the data under `data`; the model ends in `store / name`,
    with the graphs that processors compute.

    `without` and `changes` are those of `read_recipe`. Raises RecipeError for a recipe that cannot
    be read or carried out.
    """
    recipe = read_recipe(path, without, changes)
    try:
        recipe.run(data, runs, store, resume)
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from error
    folder = store / recipe.name
    if not distributed.is_initialized() or distributed.get_rank() == 0:
        export_model(folder)
    return folder


def _set_of_faces(source: Source) -> str:
    return CITIZEN if source.get("part") == CITIZEN else "ferplus"


def _set_of_speech(source: Source) -> str:
    return str(source.get("set", "ravdess"))


# A recipe's lists of sources, and what tells the set of each.
LISTS: Mapping[str, Callable[[Source], str]] = {
    "faces": _set_of_faces,
    "speech": _set_of_speech,
    "voices": _set_of_speech,
}


def leave_out(content: Mapping[str, Any], sets: Sequence[str]) -> dict[str, Any]:
    """Let a recipe learn nothing from some sets.

    It starts from no other model, which may have learned from them. Who speaks in such a set may
    still talk in the background of others. Raises RecipeError for a set that the recipe lacks, and
    where nothing else is left.
    """
    given = {key: content[key] for key in LISTS if key in content}
    known = {LISTS[key](source) for key, sources in given.items() for source in sources}
    if missing := sorted(set(sets) - known):
        there = ", ".join(sorted(known)) or "no set that could be left out"
        raise RecipeError(f"it does not learn from {', '.join(missing)}; it has {there}")
    left = {key: _without(key, sources, sets) for key, sources in given.items()}
    return {**{key: value for key, value in content.items() if key != "start"}, **left}


def _without(key: str, sources: Sequence[Source], sets: Sequence[str]) -> list[dict[str, Any]]:
    kept = [dict(one) for one in sources if LISTS[key](one) not in sets]
    if not kept:
        raise RecipeError(f"without {', '.join(sets)} nothing of [[{key}]] is left")
    if key == "faces":
        return kept
    quiet = [{**one, "learned": False} for one in sources if LISTS[key](one) in sets]
    return kept + quiet
