"""Faces are cut as a tracker cuts them, votes are learned, and recipes end in models."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from handlers.networks.affect import build
from handlers.networks.expressions import INPUT_PX, ExpressionNetwork
from handlers.networks.variants import EXPRESSIONS, FACE_PLACES, variant
from handlers.training.affect.expressions import ExpressionBatches, ExpressionLearner
from handlers.training.affect.made import faces as made_faces
from handlers.training.affect.made.looks import CropRanges, cut, vary
from handlers.training.affect.single_recipe import load_affect
from handlers.training.datasets.affect.pictures import crop_framed, whole_box
from handlers.training.datasets.affect.records import AffectFaces
from handlers.training.train import train
from tests.handlers.affect_folders import SINGLE, write_faces

STILL = CropRanges(context=(1.0, 1.0), angle_deg=0, shift=0, scale=0)
RECIPE = f"""
kind = "expressions"
name = "expressions"
version = "1"
about = "a test"
licence = "none"
start = "random"
{SINGLE}
[[faces]]
folder = "expressions"
part = "PrivateTest"
"""


def faces_of(words: list[int], side: int = 48) -> AffectFaces:
    images = np.stack([np.full((side, side), 20 * word + 10, np.uint8) for word in words])
    shares = np.eye(len(EXPRESSIONS), dtype=np.float32)[words]
    return AffectFaces.of_shares(images, shares, (None,) * len(words))


def test_a_face_is_cut_around_its_landmarks_box() -> None:
    image = np.zeros((100, 100), np.uint8)
    image[30:70, 20:60] = 255
    box = np.array([20, 30, 60, 70], np.float32) - 0.5
    crop = cut(image, box, STILL, np.random.default_rng(0))
    assert crop.shape == (INPUT_PX, INPUT_PX)
    assert crop[2:-2, 2:-2].min() > 250


def test_a_wider_crop_repeats_the_border_of_its_picture() -> None:
    image = np.full((48, 48), 90, np.uint8)
    assert (crop_framed(image, whole_box(48), 1.6) == 90).all()


def test_varied_faces_stay_crops_of_grey_levels() -> None:
    rng = np.random.default_rng(0)
    face = cv2.resize(np.arange(256, dtype=np.uint8).reshape(16, 16), (INPUT_PX, INPUT_PX))
    for _ in range(40):
        found = vary(np.asarray(face, np.uint8), rng)
        assert (found.shape, found.dtype) == (face.shape, np.uint8)


def test_faces_of_rare_words_are_drawn_more_often_than_they_come() -> None:
    faces = faces_of([0] * 90 + [3] * 10)
    boxes = [list(np.tile(whole_box(48), (100, 1)))]
    batches = ExpressionBatches([faces], boxes, STILL, power=-1.0)
    drawn = batches(np.random.default_rng(0), 200)["shares"].mean(dim=0)
    assert 0.4 < drawn[3] < 0.6


def test_labels_are_the_mean_place_of_the_shares() -> None:
    shares = np.zeros((1, 8), np.float32)
    shares[0, :2] = 0.25, 0.75
    faces = AffectFaces.of_shares(np.zeros((1, 8, 8), np.uint8), shares, (None,))
    assert faces.labels[0] == pytest.approx(0.75 * np.array(FACE_PLACES["happiness"]), abs=1e-6)
    assert faces.emotions == ("happiness",)


def test_what_is_frozen_stays_and_all_else_learns() -> None:
    torch.manual_seed(0)
    network = build(variant("expressions", "tiny"))
    assert isinstance(network, ExpressionNetwork)
    learner = ExpressionLearner(network, frozen=1)
    before = {name: value.clone() for name, value in learner.state_dict().items()}
    learner.train()
    batch = {
        "faces": 255 * torch.rand(4, 1, INPUT_PX, INPUT_PX),
        "shares": torch.full((4, 8), 1 / 8),
    }
    optimizer = torch.optim.SGD([p for p in learner.parameters() if p.requires_grad], 0.1)
    learner(batch, 0.0)["loss"].backward()
    optimizer.step()
    changed = {n for n, value in learner.state_dict().items() if not value.equal(before[n])}
    assert not [
        n for n in changed if n.startswith(("networks.body.stem", "networks.body.blocks.0"))
    ]
    assert any(n.startswith("networks.body.blocks.1") for n in changed)


def test_a_recipe_ends_in_a_model_of_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_faces(tmp_path / "expressions", "FER2013Test", 8)
    boxes = np.tile(whole_box(48), (8, 1))
    monkeypatch.setattr(made_faces, "frame_faces", lambda *_: boxes)
    monkeypatch.setattr(made_faces, "load_aligner", lambda *_: type("A", (), {"predictor": 0}))
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    store = tmp_path / "store"
    assert train(path, tmp_path, tmp_path / "runs", store) == store / "expressions"
    networks, checkpoint = load_affect(store / "expressions")
    assert networks.config == variant("expressions", "tiny")
    assert checkpoint.config["calibration"]["temperature"] == 1.0
    later = tmp_path / "later.toml"
    later.write_text(RECIPE.replace("random", str(store / "expressions")))
    assert train(later, tmp_path, tmp_path / "more", tmp_path / "other").is_dir()
