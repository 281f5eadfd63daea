"""Facial actions measured against a teacher's: what counts as close, and what is refused."""

from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from handlers.checkpoint import save_checkpoint
from handlers.evaluation.actions import compare, evaluate_actions
from handlers.networks.actions import ACTIONS
from handlers.networks.denoiser import AlignmentNetwork
from handlers.training.align.recipe import LandmarkModel
from handlers.training.datasets.folders import read_labels


def labelled(folder: Path) -> tuple[Path, Path]:
    """Three pictures of noise, and a file of labels; what the third face does is not known."""
    rng = np.random.default_rng(0)
    actions = rng.random((3, len(ACTIONS)), np.float32)
    actions[2] = np.nan
    names = [f"{index}.png" for index in range(3)]
    for name in names:
        cv2.imwrite(str(folder / name), rng.integers(0, 256, (150, 150, 3), np.uint8))
    points = rng.uniform(40, 110, (3, 70, 2)).astype(np.float32)
    labels = folder / "labels.npz"
    np.savez(labels, pictures=names, points=points, actions=actions, names=ACTIONS)
    return folder, labels


def stored(folder: Path, head: str) -> Path:
    """A store with a small untrained network named `small`."""
    torch.manual_seed(0)
    landmarks = asdict(LandmarkModel("senet", "tiny", head, head_width=8))
    config = {"landmarks": landmarks, "denoiser": None, "context": 1.3, "crop_px": 128}
    tensors = AlignmentNetwork(landmarks).state_dict()
    save_checkpoint(folder / "small", "small", "1", config, tensors)
    return folder


def test_an_action_that_goes_with_the_teachers_correlates_and_one_that_stays_does_not() -> None:
    taught = np.random.default_rng(0).random((50, len(ACTIONS)), np.float32)
    told = np.full_like(taught, 0.5)
    told[:, 3] = 0.3 + 0.5 * taught[:, 3]
    best, *others = compare(told, taught)
    assert best.name == ACTIONS[3]
    assert best.correlation == pytest.approx(1.0, abs=1e-4)
    assert {row.correlation for row in others} == {0.0}


def test_faces_whose_actions_are_known_are_measured_with_the_stored_model(tmp_path: Path) -> None:
    rows = evaluate_actions(*labelled(tmp_path), stored(tmp_path, "refined"), "small")
    assert {row.name for row in rows} == set(ACTIONS)
    assert all(-1 <= row.correlation <= 1 for row in rows)


def test_a_model_that_tells_no_actions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not tell facial actions"):
        evaluate_actions(*labelled(tmp_path), stored(tmp_path, "heatmap"), "small")


def test_labels_that_are_not_there_are_refused_with_where_it_is_told_how_to_make_them(
    tmp_path: Path,
) -> None:
    with pytest.raises(FileNotFoundError, match=r"docs/training-labels\.md"):
        list(read_labels(tmp_path / "none.npz", tmp_path))
