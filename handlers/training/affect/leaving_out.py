"""Recipes without some of their sets, so that what comes out can be measured on those."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from handlers.training.affect.made.bank import CITIZEN
from handlers.training.recipe import RecipeError

Source = Mapping[str, Any]


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
