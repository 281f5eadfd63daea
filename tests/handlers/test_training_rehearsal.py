"""A rehearsal: every recipe that comes along works in its order, and says how long it takes."""

from pathlib import Path

import pytest

from handlers.training.align.recipe import AlignmentRecipe
from handlers.training.recipe import RecipeError
from handlers.training.rehearsal import (
    check_data,
    draw_faces,
    draw_sources,
    drawn_face,
    in_words,
    rehearse,
)
from handlers.training.track.recipe import BoxTrackerRecipe, FaceValidatorRecipe
from handlers.training.train import read_recipe, train
from tests.handlers.test_training import HEAD, LANDMARKS

ROOT = Path(__file__).parent.parent.parent
RECIPES = ROOT / "handlers" / "training" / "recipes"


def order_of(variable: str) -> list[str]:
    """The recipes of a variable of the Makefile."""
    lines = (ROOT / "Makefile").read_text().replace("\\\n", " ").splitlines()
    (line,) = (line for line in lines if line.startswith(variable + " ?="))
    return line.partition("=")[2].split()


@pytest.mark.slow
def test_all_recipes_of_alignment_and_tracking_work_in_the_order_of_make(
    tmp_path: Path,
) -> None:
    names = order_of("RECIPES") + order_of("TRACK_RECIPES")
    paths = [RECIPES / f"{name}.toml" for name in names]
    done = list(rehearse(paths, tmp_path / "no store", steps=1, batch=2))
    assert [one.name for one in done] == names
    assert all(one.seconds is not None for one in done)


@pytest.mark.slow
def test_the_tracker_is_learned_from_random_weights_to_the_model_that_is_served(
    tmp_path: Path,
) -> None:
    data, store = tmp_path / "data", tmp_path / "store"
    short = ["schedule.steps=1", "schedule.batch=2"]
    for name, changes in {
        "bt-base": short,
        "bt-2": short,
        "fv": short,
        "dcrt": [*short, "tracker='bt-2'"],
    }.items():
        path = RECIPES / f"{name}.toml"
        recipe = read_recipe(path, changes=changes)
        if isinstance(recipe, AlignmentRecipe | BoxTrackerRecipe | FaceValidatorRecipe):
            draw_sources(data, recipe.sources)
        if isinstance(recipe, FaceValidatorRecipe):
            draw_sources(data, recipe.held_out)
        train(path, data, tmp_path / "runs", store, changes=changes)
    assert {path.stem for path in (store / "dcrt").glob("*.onnx")} == {
        "features",
        "step",
        "validate",
    }


def test_the_time_is_that_of_the_steps_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "one.toml"
    path.write_text(HEAD.format(steps=1000) + LANDMARKS.format(head="heatmap"))
    (one,) = rehearse([path], tmp_path / "store", changes=["schedule.steps=2"])
    assert one.steps == 2


def test_a_change_of_the_schedule_passes_over_recipes_without_one() -> None:
    recipe = read_recipe(RECIPES / "dcrt.toml", changes=["schedule.steps=2"])
    assert recipe == read_recipe(RECIPES / "dcrt.toml")
    with pytest.raises(RecipeError, match="shedule"):
        read_recipe(RECIPES / "dcrt.toml", changes=["shedule.steps=2"])


def test_a_recipe_whose_start_is_nowhere_is_refused_before_anything_is_learned(
    tmp_path: Path,
) -> None:
    path = tmp_path / "later.toml"
    text = HEAD.format(steps=3) + LANDMARKS.format(head="heatmap")
    path.write_text(text.replace("[schedule]", 'start = ["earlier"]\n[schedule]', 1))
    with pytest.raises(RecipeError, match="train 'earlier' first"):
        list(rehearse([path], tmp_path / "store"))


def test_faces_and_labels_that_are_missing_are_named_before_anything_is_learned(
    tmp_path: Path,
) -> None:
    path, labelled = tmp_path / "one.toml", tmp_path / "labelled.toml"
    path.write_text(HEAD.format(steps=3) + LANDMARKS.format(head="heatmap"))
    more = '[[sources]]\nfolder = "faces"\nlabels = "labels/faces.npz"\nshare = 1.0\n'
    labelled.write_text(path.read_text() + more)
    with pytest.raises(RecipeError, match="no .pts file under .*faces"):
        check_data([path], tmp_path)
    draw_faces(tmp_path / "faces")
    check_data([path], tmp_path)
    with pytest.raises(RecipeError, match=r"labels/faces.npz: docs/training-labels.md"):
        check_data([path, labelled], tmp_path)
    for picture in (tmp_path / "faces").glob("*.png"):
        picture.unlink()
    with pytest.raises(RecipeError, match="no picture beside"):
        check_data([path], tmp_path)


def test_the_time_is_that_of_all_steps(tmp_path: Path) -> None:
    path = tmp_path / "one.toml"
    path.write_text(HEAD.format(steps=1000) + LANDMARKS.format(head="heatmap"))
    (one,) = rehearse([path], tmp_path / "store")
    assert (one.name, one.steps) == ("small", 1000)
    assert one.seconds is not None
    assert one.seconds > 1
    assert not (tmp_path / "store").exists()


def test_times_are_told_as_people_say_them() -> None:
    assert [in_words(seconds) for seconds in (5, 89, 600, 9000)] == [
        "5 s",
        "89 s",
        "10 min",
        "2.5 h",
    ]


def test_a_drawn_face_is_symmetric_and_has_its_eyes_above_its_mouth() -> None:
    face = drawn_face()
    assert face.shape == (68, 2)
    assert face[36, 0] == -face[45, 0]
    assert face[36:48, 1].max() < face[48:, 1].min()
