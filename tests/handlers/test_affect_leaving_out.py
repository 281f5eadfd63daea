"""Recipes are changed and learn without sets, so that what they learn is measured on those."""

from pathlib import Path

import pytest

from handlers.training.affect.clip_recipe import ClipRecipe
from handlers.training.affect.expressions import IMAGENET, ExpressionRecipe
from handlers.training.affect.single_recipe import RANDOM, LatentRecipe
from handlers.training.affect.voices.recipe import VoiceRecipe
from handlers.training.recipe import RecipeError
from handlers.training.train import read_recipe

RECIPES = Path(__file__).parents[2] / "handlers" / "training" / "recipes"


def test_a_set_left_out_is_not_learned_from_nor_by_what_learning_starts_from() -> None:
    whole = read_recipe(RECIPES / "vi-de.toml")
    recipe = read_recipe(RECIPES / "vi-de.toml", ["citizen"])
    assert isinstance(whole, LatentRecipe)
    assert isinstance(recipe, LatentRecipe)
    assert whole.start != RANDOM
    assert (recipe.start, [one.part for one in recipe.faces]) == (RANDOM, ["Training"])
    words = read_recipe(RECIPES / "expressions.toml", ["ferplus"])
    assert isinstance(words, ExpressionRecipe)
    assert (words.start, [one.part for one in words.faces]) == (IMAGENET, ["citizen"])


def test_voices_of_a_set_left_out_may_still_talk_in_the_background() -> None:
    recipe = read_recipe(RECIPES / "voice.toml", ["emodb"])
    assert isinstance(recipe, VoiceRecipe)
    assert [(one.set, one.learned) for one in recipe.voices] == [
        ("ravdess", True),
        ("emodb", False),
    ]


def test_a_set_of_faces_and_one_of_voices_are_left_out_at_once() -> None:
    recipe = read_recipe(RECIPES / "avi-gas.toml", ["ferplus", "ravdess"], ["clips=7"])
    assert isinstance(recipe, ClipRecipe)
    assert [one.part for one in recipe.faces] == ["citizen"]
    assert [one.set for one in recipe.speech if one.learned] == ["emodb"]
    assert recipe.clips == 7


def test_a_set_that_is_not_there_or_all_that_is_cannot_be_left_out() -> None:
    with pytest.raises(RecipeError, match="does not learn from ravdess; it has citizen, ferplus"):
        read_recipe(RECIPES / "vi-de.toml", ["ravdess"])
    with pytest.raises(RecipeError, match=r"nothing of \[\[faces\]\] is left"):
        read_recipe(RECIPES / "vi-de.toml", ["ferplus", "citizen"])
    with pytest.raises(RecipeError, match="no set that could be left out"):
        read_recipe(RECIPES / "fle.toml", ["citizen"])


def test_a_change_leaves_the_rest_of_its_table() -> None:
    before = read_recipe(RECIPES / "vi-de.toml")
    after = read_recipe(RECIPES / "vi-de.toml", (), ["schedule.steps=7", "about='a try'"])
    assert isinstance(before, LatentRecipe)
    assert isinstance(after, LatentRecipe)
    assert (after.schedule.steps, after.about) == (7, "a try")
    assert after.schedule.rate == before.schedule.rate
    with pytest.raises(RecipeError, match="stepz"):
        read_recipe(RECIPES / "vi-de.toml", (), ["schedule.stepz=7"])
    with pytest.raises(RecipeError, match=r"vi-de\.toml"):
        read_recipe(RECIPES / "vi-de.toml", (), ["schedule.steps"])
