"""Training a refined head on labels of a teacher: files of labels, what is unknown, a denoiser."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.testing import assert_close

from handlers.checkpoint import load_checkpoint
from handlers.networks.actions import ACTIONS
from handlers.networks.landmarks import LandmarkNetwork
from handlers.processing.landmarks import MIRROR
from handlers.training.align.landmarks import LandmarkLearner
from handlers.training.faces import Augmentation, FaceBank, Source
from handlers.training.loop import Schedule
from handlers.training.recipe import RecipeError
from handlers.training.train import read_recipe

Floats = NDArray[np.float32]

RECIPE = """
kind = "alignment"
name = "taught"
version = "1"
about = "a test"
licence = "none"
{more}
[landmarks]
backbone = "senet"
size = "tiny"
head = "refined"
head_width = 8
[denoiser]
kind = "mtc"
size = "tiny"
classes = ["blur"]
[degrading]
kinds = {{blur = ["blur"]}}
[schedule]
steps = {steps}
batch = 4
rate = 1e-2
seed = 1
warmup = 2
average = 0.5
precision = "32-true"
[[sources]]
folder = "faces"
labels = "labels/faces.npz"
share = 1.0
"""
STILL = Augmentation(angle_deg=0, largest_angle_deg=0, stretch=0, occluded=0)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three pictures of random dots with landmarks, irises and actions in a file beside them."""
    rng = np.random.default_rng(0)
    (tmp_path / "faces").mkdir()
    (tmp_path / "labels").mkdir()
    names = [f"{index}.png" for index in range(3)]
    for name in names:
        cv2.imwrite(str(tmp_path / "faces" / name), rng.integers(0, 256, (150, 150, 3), np.uint8))
    np.savez(
        tmp_path / "labels" / "faces.npz",
        pictures=names,
        points=rng.uniform(40, 110, (3, 70, 2)).astype(np.float32),
        actions=rng.random((3, len(ACTIONS) + 1), np.float32),
        names=["unheardOf", *ACTIONS],
    )
    return tmp_path


def bank(data: Path) -> FaceBank:
    return FaceBank(data, [Source("faces", 1.0, "labels/faces.npz")])


def test_actions_are_read_by_their_names(data: Path) -> None:
    with np.load(data / "labels" / "faces.npz") as held:
        np.testing.assert_array_equal(bank(data).actions, held["actions"][:, 1:])


def test_a_mirrored_crop_has_its_landmarks_irises_and_actions_mirrored(data: Path) -> None:
    faces = bank(data)
    swapped = [*MIRROR, 69, 68]
    seen = set()
    for seed in range(40):
        _, (points,), (actions,) = faces.draw(np.random.default_rng(seed), 1, STILL)
        index = next(i for i, given in enumerate(faces.actions) if set(given) == set(actions))
        mirrored = not np.array_equal(actions, faces.actions[index])
        order, sign = (swapped, -1) if mirrored else (slice(None), 1)
        across = np.corrcoef(points[:, 0], sign * faces.points[index][order, 0])
        assert across[0, 1] > 0.999
        seen.add(mirrored)
    assert seen == {True, False}


def test_unknown_irises_and_actions_do_not_count(data: Path) -> None:
    torch.manual_seed(0)
    learner = LandmarkLearner(LandmarkNetwork("senet", "tiny", "refined", head_width=8)).eval()
    batch = {
        "crops": torch.rand(2, 3, 128, 128),
        "points": torch.rand(2, 70, 2) * 100,
        "actions": torch.rand(2, len(ACTIONS)),
    }
    batch["points"][1, 68:], batch["actions"][1] = torch.nan, torch.nan
    losses = learner(batch, 0.0)
    losses["loss"].backward()
    assert all(value.isfinite() for value in losses.values())
    assert all(p.grad.isfinite().all() for p in learner.parameters() if p.grad is not None)


def taught(data: Path, more: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The weights of a model, and those of another run that starts from it with more settings."""
    path, weights = data / "recipe.toml", []
    for name, settings, steps in (("first", "", 1), ("second", f'start = ["taught"]\n{more}', 40)):
        path.write_text(RECIPE.format(more=settings, steps=steps))
        read_recipe(path).run(data, data / name, data / "store", resume=True)
        weights.append(load_checkpoint(data / "store/taught").tensors)
    before, after = weights
    return before, after


def test_behind_a_denoiser_that_stays_the_landmarks_and_actions_are_learnt(data: Path) -> None:
    before, after = taught(data, "behind = 0.5")
    for name, tensor in after.items():
        if name.startswith("denoiser."):
            assert_close(tensor, before[name], msg=name)
    assert not torch.equal(after["landmarks.head.shift.weight"], torch.zeros(1))
    table = np.genfromtxt(data / "second/taught/losses.csv", delimiter=",", names=True)
    assert np.isfinite(table["actions"]).all()


def test_facial_actions_alone_are_learnt_and_all_else_stays(data: Path) -> None:
    before, after = taught(data, 'only = "actions"')
    for name, tensor in after.items():
        if not name.startswith("landmarks.head.acting."):
            assert_close(tensor, before[name], msg=name)
        elif name.endswith("weight"):
            assert not torch.equal(tensor, before[name]), name


def test_only_a_head_that_tells_actions_can_learn_them_alone(data: Path) -> None:
    path = data / "recipe.toml"
    text = RECIPE.format(more='only = "actions"', steps=1).replace("refined", "heatmap")
    path.write_text(text)
    with pytest.raises(RecipeError, match="refined head"):
        read_recipe(path)


def test_the_rate_stays_while_it_is_held_and_then_falls_to_nothing() -> None:
    schedule = Schedule(steps=100, batch=1, rate=1.0, seed=0, warmup=10, hold=50)
    assert [schedule.rate_at(step) for step in (0, 10, 59)] == [0.1, 1.0, 1.0]
    assert 0.4 < schedule.rate_at(80) < 0.6
    assert schedule.rate_at(99) < 0.01
