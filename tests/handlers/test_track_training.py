"""Training of BT and FV on made videos: it learns, resumes as if unbroken, and joins the parts."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch.testing import assert_close

from handlers.checkpoint import load_checkpoint, save_checkpoint
from handlers.networks.box_tracker import BoxTracker, from_pixels
from handlers.processing.boxes import Crop
from handlers.processing.landmarks import bounding_box
from handlers.store import load_tracking, read_settings
from handlers.training.datasets.folders import write_pts
from handlers.training.faces import Source
from handlers.training.recipe import RecipeError
from handlers.training.synthetic.scene import Truth
from handlers.training.synthetic.stills import Stills
from handlers.training.synthetic.style import Style, draw_scene
from handlers.training.track.box_tracker import (
    TrackerBatches,
    TrackerLearner,
    TrackerModel,
    distance,
    has_the_face,
    read_stills,
    true_boxes,
)
from handlers.training.track.face_validator import SceneView, ValidatorBatches
from handlers.training.track.places import KINDS, place
from handlers.training.track.recipe import (
    AssemblyRecipe,
    BoxTrackerRecipe,
    FaceValidatorRecipe,
)
from handlers.training.train import read_recipe
from tests.handlers.test_sequences import SIZE, face_shape

HEAD = """
kind = "{kind}"
name = "{name}"
version = "1"
{start}
[schedule]
steps = {steps}
batch = {batch}
rate = 3e-3
seed = 1
warmup = 2
average = 0.5
precision = "32-true"
save_every = 2
[[sources]]
folder = "faces"
share = 1.0
[style]
degraded = 0.0
noise = [0.0, 0.0]
"""
TRACKER = '[tracker]\nsize = "tiny"\ncontext = 2.0\nframes = 3\nown = [0.0, 1.0]\n'
VALIDATOR = '[validator]\ncontext = 1.3\n[[held_out]]\nfolder = "faces"\nshare = 1.0\n'
ONE_STEP = HEAD.format(kind="{kind}", name="x", steps=1, batch=1, start="")
ASSEMBLY = """
kind = "tracking"
name = "joined"
version = "1"
about = "a test"
licence = "none"
tracker = "bt"
validator = "fv"
alignment = "dfa"
t_b = 1.0
t_c = 0.5
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Four drawn faces: dark eyes, brows, nose and mouth on something bright."""
    folder = tmp_path / "data" / "faces"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for index in range(4):
        picture = rng.integers(150, 200, (SIZE, SIZE, 3), dtype=np.uint8)
        points = face_shape() + rng.uniform(-4, 4, 2).astype(np.float32)
        for x, y in points:
            cv2.circle(picture, (round(float(x)), round(float(y))), 2, (10, 10, 60), -1)
        cv2.imwrite(str(folder / f"{index}.png"), picture)
        write_pts(folder / f"{index}.pts", points)
    return tmp_path / "data"


@pytest.fixture
def stills(data: Path) -> Stills:
    return read_stills(data, [Source("faces", 1.0)], 76)


def carry_out(tmp_path: Path, data: Path, text: str, runs: str = "runs", **values: Any) -> Path:
    path = tmp_path / "recipe.toml"
    kind = "face-validator" if VALIDATOR in text else "box-tracker"
    given = {"kind": kind, "start": "", "batch": 2, **values}
    path.write_text(text.format(**given) if values else text)
    recipe, store = read_recipe(path), tmp_path / "store"
    recipe.run(data, tmp_path / runs, store, resume=True)
    return store / recipe.name


def test_bt_learns_where_the_face_is(stills: Stills) -> None:
    torch.manual_seed(0)
    style = replace(
        Style(), motions=("sway",), degraded=0.0, covered=0.0, noise=(0, 0), drift=(0, 0)
    )
    learner = TrackerLearner(BoxTracker("tiny"), TrackerModel("tiny", 2.0, 2))
    batch = TrackerBatches(stills, style, 2)(np.random.default_rng(0), 4)
    optimizer = torch.optim.AdamW(learner.parameters(), 3e-3)
    losses = []
    for _ in range(40):
        loss = learner.train()(batch, 0.0)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.4 * losses[0]


def test_the_backbones_statistics_stay_and_without_tuning_its_weights_too(stills: Stills) -> None:
    model = TrackerModel("tiny", 2.0, 2, tune_backbone=False)
    learner = TrackerLearner(BoxTracker("tiny"), model).train()
    before = {k: v.clone() for k, v in learner.tracker.backbone.state_dict().items()}
    learner(TrackerBatches(stills, Style(), 2)(np.random.default_rng(0), 2), 0.0)["loss"].backward()
    after = learner.tracker.backbone.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert all(parameter.grad is None for parameter in learner.tracker.backbone.parameters())
    assert all(p.grad is not None for p in learner.tracker.heads.parameters())


def test_later_in_training_the_crop_is_taken_where_bt_believes_the_face_to_be(
    stills: Stills,
) -> None:
    class Watched(TrackerLearner):
        def _next_boxes(self, points, crops, truths, own, slack):  # type: ignore[no-untyped-def]
            self.taken = super()._next_boxes(points, crops, truths, own, slack)
            self.truths = truths
            return self.taken

    learner = Watched(BoxTracker("tiny"), TrackerModel("tiny", 2.0, 2, own=(0.0, 1.0), slack=0.0))
    batch = TrackerBatches(stills, Style(), 2)(np.random.default_rng(1), 3)
    with torch.no_grad():
        for head in learner.tracker.heads.values():
            head.weight.zero_()
            head.bias.copy_(0.4 * torch.randn_like(head.bias).clamp(-1, 1))
        learner(batch, 0.0)
        true = [bounding_box(t.points) for t in learner.truths]
        assert all(np.allclose(a, b, atol=1e-3) for a, b in zip(learner.taken, true, strict=True))
        learner(batch, 0.999)
        moved = [np.abs(a - b).max() for a, b in zip(learner.taken, true, strict=True)]
    assert sum(value > 1 for value in moved) >= 2


def test_distance_is_in_pixels_of_the_crop() -> None:
    points = face_shape() * 3
    crop = Crop.around(bounding_box(points), 2.0)
    found = from_pixels(torch.from_numpy(crop.to_crop(points)))[None]
    off = found + torch.tensor([2.0, 0.0]) / 64  # two pixels of 128 to the right
    truth = [Truth(points, 1.0, 0.0)]
    assert_close(distance(found, [crop], truth), torch.zeros(1), atol=1e-3, rtol=0)
    assert_close(distance(off, [crop], truth), torch.ones(1), atol=1e-3, rtol=0)


def test_true_boxes_err_by_shares_of_their_sides() -> None:
    points = face_shape()
    box = bounding_box(points)
    (moved,) = true_boxes([Truth(points, 1.0, 0.0)], np.array([[0.1, 0.0, 0.0, np.log(2)]]))
    sides = box[2:] - box[:2]
    np.testing.assert_allclose(moved[2:] - moved[:2], sides * [1, 2], rtol=1e-5)
    assert moved[[0, 2]].mean() - box[[0, 2]].mean() == pytest.approx(0.1 * sides[0], rel=1e-3)
    assert has_the_face(moved * 1.0, box) is False  # twice as high
    assert has_the_face(box + 0.3 * sides[0], box)
    assert not has_the_face(box + 2 * sides[0], box)


def test_a_stopped_run_goes_on_as_if_unbroken(tmp_path: Path, data: Path) -> None:
    # The rate while warming up and the share of own boxes do not depend on the number of steps.
    text = HEAD.replace("warmup = 2", "warmup = 9") + TRACKER.replace("[0.0, 1.0]", "[0.5, 0.5]")
    carry_out(tmp_path, data, text, "broken", name="bt", steps=2)
    broken = load_checkpoint(carry_out(tmp_path, data, text, "broken", name="bt", steps=4)).tensors
    whole = load_checkpoint(carry_out(tmp_path, data, text, "whole", name="bt", steps=4)).tensors
    for name, value in whole.items():
        assert_close(broken[name], value, msg=name)


def test_a_stage_starts_from_the_one_before_and_bt_from_a_landmark_network(
    tmp_path: Path, data: Path
) -> None:
    store = tmp_path / "store"
    backbone = BoxTracker("tiny").backbone.state_dict()
    tensors = {f"landmarks.backbone.{k}": v + 1 for k, v in backbone.items()}
    save_checkpoint(store / "fll", "fll", "1", {}, tensors)
    text = HEAD.replace("rate = 3e-3", "rate = 0.0") + TRACKER
    carry_out(tmp_path, data, text, name="bt", steps=1, start='start = "fll"')
    taken = load_checkpoint(store / "bt").tensors
    for key, value in backbone.items():
        assert_close(
            taken[f"tracker.backbone.{key}"].float(), value.float() + 1, atol=2e-3, rtol=2e-3
        )
    carry_out(tmp_path, data, text, "next", name="bt-next", steps=1, start='start = "bt"')
    after = load_checkpoint(store / "bt-next").tensors
    assert all(torch.equal(after[key], value) for key, value in taken.items())


def test_a_start_that_fits_nothing_is_refused(tmp_path: Path, data: Path) -> None:
    save_checkpoint(tmp_path / "store" / "odd", "odd", "1", {}, {"a": torch.zeros(1)})
    with pytest.raises(RecipeError, match="nothing of 'odd'"):
        carry_out(tmp_path, data, HEAD + TRACKER, name="bt", steps=1, start='start = "odd"')


@pytest.mark.slow
def test_fv_learns_to_tell_faces_and_the_parts_make_a_model_that_can_be_served(
    tmp_path: Path, data: Path
) -> None:
    count = "held_out_count = 240"
    carry_out(tmp_path, data, HEAD + VALIDATOR, name="fv", steps=80, batch=48, start=count)
    figures = load_checkpoint(tmp_path / "store" / "fv").config["figures"]
    assert figures["roc_auc"] > 0.85
    assert figures["accepted_at_0.5"]["face"] > figures["accepted_at_0.5"]["background"]
    assert (tmp_path / "runs" / "fv" / "roc.png").is_file()
    carry_out(tmp_path, data, HEAD + TRACKER, name="bt", steps=1)
    networks, joined = load_tracking(carry_out(tmp_path, data, ASSEMBLY))
    assert networks.validator_context == 1.3
    assert read_settings(joined.config).seq_bt == 3
    assert joined.config["figures"]["validator"] == figures


def test_candidates_are_right_and_wrong_in_equal_parts_and_of_every_kind(stills: Stills) -> None:
    batch = ValidatorBatches(stills, Style(covered=0.6), 1.3)(np.random.default_rng(3), 480)
    assert 0.3 < float(batch["faces"].mean()) < 0.7
    assert set(batch["kinds"].tolist()) == set(range(len(KINDS)))
    assert batch["crops"].shape == (480, 3, 128, 128)


def test_what_is_called_a_face_lies_on_it_and_what_is_not_does_not(stills: Stills) -> None:
    rng = np.random.default_rng(4)
    for _ in range(30):
        scene = draw_scene(rng, stills, Style(covered=0.0), 1)
        found, kind = place(rng, scene, scene.truth(0), stills)
        truth = scene.truth(0).points
        error = np.linalg.norm(found - truth, axis=1).mean() / np.sqrt(
            np.prod(np.ptp(truth, axis=0))
        )
        assert kind is None or (error < 0.09 if kind == "face" else error > 0.15)


def test_what_is_cut_from_the_surroundings_is_what_the_scene_shows(stills: Stills) -> None:
    scene = draw_scene(np.random.default_rng(0), stills, replace(Style(), noise=(0, 0)), 1)
    truth = scene.truth(0)
    crop = Crop.around(bounding_box(truth.points), 1.3, 128)
    seen = SceneView.of(scene, truth).look(crop).astype(float)
    assert np.abs(seen - scene.look(0, crop)).mean() < 8


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (ONE_STEP.format(kind="box-tracker"), "tracker"),
        (ONE_STEP.format(kind="box-tracker") + TRACKER + VALIDATOR, "validator"),
        (ONE_STEP.format(kind="tracker") + TRACKER, "'box-tracker'"),
        (TRACKER, "'box-tracker'"),
        (ASSEMBLY + "t_d = 1.0\n", "t_d"),
        ("name = ", "Invalid"),
    ],
)
def test_a_wrong_recipe_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=complaint):
        read_recipe(path)


def test_the_projects_recipes_can_be_read_and_follow_each_other() -> None:
    import handlers.training

    folder = Path(handlers.training.__file__).parent / "recipes"
    stages = [read_recipe(folder / f"bt-{n}.toml") for n in (2, 4, 8, 16, 32)]
    assert all(isinstance(stage, BoxTrackerRecipe) for stage in stages)
    starts = [stage.start for stage in stages if isinstance(stage, BoxTrackerRecipe)]
    assert starts == ["bt-base", "bt-2", "bt-4", "bt-8", "bt-16"]
    assert isinstance(read_recipe(folder / "dcrt.toml"), AssemblyRecipe)
    fv = read_recipe(folder / "fv.toml")
    assert isinstance(fv, FaceValidatorRecipe)
    assert {s.folder for s in fv.sources}.isdisjoint(s.folder for s in fv.held_out)
