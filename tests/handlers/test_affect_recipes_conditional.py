"""Recipes of every variant, and those of chapters 5 and 6 carried out on tiny networks."""

import sys
from pathlib import Path

import numpy as np
import pytest

from handlers.networks.variants import VARIANTS, variant
from handlers.predictors.affect.estimator import Moment
from handlers.processing import audio_descriptors
from handlers.store import load_estimator
from handlers.training.affect.single_recipe import load_affect
from handlers.training.recipe import RecipeError
from handlers.training.train import read_recipe, train
from tests.handlers.affect_folders import SINGLE, write_faces, write_speech
from tests.handlers.affect_recordings import write_afew
from tests.needs import OPENSMILE

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "handlers" / "training" / "recipes"

HEAD = """
kind = "{kind}"
name = "{name}"
version = "1"
about = "a test"
licence = "none"
"""
FACES = '[[faces]]\nfolder = "expressions"\npart = "PrivateTest"\n'
SPEECH = '[[speech]]\nfolder = "speech"\nactors = ["20", "21"]\n'
STAGE = "[[stages]]\nframes = {}\nsteps = 2\nbatch = 4\n"


@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_every_variant_has_a_recipe_that_make_carries_out(name: str) -> None:
    assert read_recipe(RECIPES / f"{name}.toml").name == name
    listed = (ROOT / "Makefile").read_text().split("AFFECT_RECIPES ?= ")[1].split("ARGS ?=")[0]
    assert name in listed.split() or name in ("vi", "au")  # of the tables alone


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_faces(root / "expressions", "FER2013Test", 14)
    write_speech(root / "speech")
    return root


def carry_out(name: str, body: str, data: Path, folder: Path) -> Path:
    path = folder / f"{name}.toml"
    kind = "conditional" if VARIANTS[name].estimator == "discriminator" else "single-frame"
    kind = "over-time" if "stages" in body else kind
    path.write_text(HEAD.format(name=name, kind=kind) + body)
    return train(path, data, folder / "runs", folder / "store")


def test_without_opensmile_the_recipe_that_hears_says_what_to_install(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "opensmile", None)
    audio_descriptors._extractor.cache_clear()
    with pytest.raises(RecipeError, match=r"aeg-cd-sz.*affect-egemaps"):
        carry_out("aeg-cd-sz", SINGLE + FACES + SPEECH, data, tmp_path)
    audio_descriptors._extractor.cache_clear()


@pytest.mark.parametrize(
    ("name", "more"), [("aeg-cd-sz", ""), ("aeg-cd", SPEECH), ("disc", SPEECH)]
)
def test_speech_is_given_to_what_hears_and_to_nothing_else(
    name: str, more: str, data: Path, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match="speech"):
        carry_out(name, SINGLE + FACES + more, data, tmp_path)


@pytest.mark.parametrize(
    "name", ["disc", "aeg-cd", pytest.param("aeg-cd-sz", marks=OPENSMILE.mark)]
)
def test_what_is_learnt_of_chapter_5_can_be_served(name: str, data: Path, tmp_path: Path) -> None:
    hears = "[hearing]\nwindows = 1\n" + SPEECH if name == "aeg-cd-sz" else ""
    folder = carry_out(name, SINGLE + FACES + hears, data, tmp_path)
    estimator, checkpoint = load_estimator(folder)
    assert checkpoint.config["context"] == estimator.context == 1.15
    (reading,) = estimator.read([Moment(face=np.zeros((128, 128, 3), np.uint8))])
    assert reading is not None
    (answer,) = estimator.step([reading], [None], [0.0])
    assert -1 <= answer.valence <= 1
    assert estimator.hears == (name == "aeg-cd-sz")


def test_chapter_5_is_learnt_from_recordings_too(tmp_path: Path) -> None:
    write_afew(tmp_path)
    source = '[recordings]\nfolder = "afew"\nlayout = "afew-va"\nfold = 2\n'
    folder = carry_out("aeg-cd", SINGLE + source, tmp_path, tmp_path)
    assert load_affect(folder)[0].config == variant("aeg-cd", "tiny", norm="batch")
    with pytest.raises(RecipeError, match="recordings"):
        carry_out("aeg-cd-sz", SINGLE + source + SPEECH, tmp_path, tmp_path)
    with pytest.raises(RecipeError, match="faces"):
        carry_out("disc", SINGLE + source + FACES, tmp_path, tmp_path)


@pytest.mark.slow
def test_chapter_6_is_learnt_from_the_single_frame_to_attention(data: Path, tmp_path: Path) -> None:
    carry_out("au-de", SINGLE + SPEECH, data, tmp_path)
    carry_out("anclaf", SINGLE + FACES, data, tmp_path)
    parts = 'face = "anclaf"\nclips = 3\n' + FACES + SPEECH
    attention = STAGE.format(4) + "attention = true\n"
    for name, last in (("anclaf-s", STAGE.format(4)), ("anclaf-sa", attention)):
        folder = carry_out(name, parts + STAGE.format(2) + last, data, tmp_path)
        learnt, checkpoint = load_affect(folder)
        assert learnt.config == variant(name, "tiny", norm="batch")
        assert set(checkpoint.config["parts"]) == {"anclaf", "au-de"}
