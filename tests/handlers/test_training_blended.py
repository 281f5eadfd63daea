"""A teacher's answers blended with landmarks by hand and with a model's."""

import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from handlers.networks.actions import ACTIONS
from handlers.processing.landmarks import bounding_box
from handlers.store import load_aligner
from handlers.training.align import blend_labels
from handlers.training.align.blend_labels import distances, moved
from handlers.training.datasets.folders import Labelled, read_labels, write_pts
from handlers.training.rehearsal import drawn_face
from tests.handlers.align_fakes import ROOT, STORE

Floats = NDArray[np.float32]
FACE_BOX = np.array([180, 60, 270, 180], np.float32)  # of the portrait's face


def face() -> Floats:
    return np.asarray(drawn_face() + 120, np.float32)


def side(points: Floats) -> float:
    x1, y1, x2, y2 = bounding_box(points)
    return float(np.sqrt((x2 - x1) * (y2 - y1)))


def answer(folder: Path, points: Floats) -> Path:
    """A teacher's file of the one picture in a folder."""
    irises = np.array([[[90, 100], [150, 100]]], np.float32)
    np.savez(
        folder / "answers.npz",
        pictures=["face.jpg"],
        points=np.concatenate([points[None], irises], axis=1),
        names=ACTIONS,
        actions=np.full((1, len(ACTIONS)), 0.25, np.float32),
    )
    return folder / "answers.npz"


def blend(folder: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> list[Labelled]:
    """Run the command on a folder's answers and read what it wrote."""
    out = folder / "labels.npz"
    paths = [str(folder / "answers.npz"), str(folder), str(out)]
    monkeypatch.setattr(sys, "argv", ["blend_labels", *paths, *more])
    blend_labels.main()
    return list(read_labels(out, folder))


def test_landmarks_by_hand_are_moved_but_for_those_far_from_the_teachers() -> None:
    by_hand, taught = face(), face()
    taught[:, 0] += 0.02 * side(by_hand)
    taught[8, 1] += 0.07 * side(by_hand)
    done = moved(by_hand, taught, 0.35)
    near = np.arange(68) != 8
    np.testing.assert_allclose(done[near], (0.65 * by_hand + 0.35 * taught)[near], atol=1e-3)
    np.testing.assert_array_equal(done[8], by_hand[8])


def test_a_face_far_from_the_teachers_stays_as_it_is_by_hand() -> None:
    by_hand = face()
    taught = by_hand + np.float32(0.05 * side(by_hand) / np.sqrt(2))
    np.testing.assert_allclose(distances(by_hand, taught), 0.05, rtol=1e-4)
    np.testing.assert_array_equal(moved(by_hand, taught, 0.35), by_hand)


def test_a_file_of_answers_and_pts_files_become_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cv2.imwrite(str(tmp_path / "face.jpg"), np.zeros((240, 240, 3), np.uint8))
    write_pts(tmp_path / "face.pts", face())
    answer(tmp_path, face() + 2)
    (label,) = blend(tmp_path, monkeypatch)
    assert label.picture == tmp_path / "face.jpg"
    np.testing.assert_allclose(label.points[:68], face() + 0.7, atol=1e-3)
    np.testing.assert_array_equal(label.points[68:], [[90, 100], [150, 100]])
    np.testing.assert_array_equal(label.actions, np.full(len(ACTIONS), 0.25, np.float32))
    (kept,) = blend(tmp_path, monkeypatch, "--share", "0")
    np.testing.assert_allclose(kept.points[:68], face(), atol=1e-3)


def test_with_a_model_labels_are_the_mean_where_the_two_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(ROOT / "tests" / "assets" / "astronaut.jpg", tmp_path / "face.jpg")
    pixels = cv2.imread(str(tmp_path / "face.jpg"), cv2.IMREAD_COLOR_RGB)
    aligner = load_aligner(STORE, "dfa").predictor
    ((found,),) = aligner.align([np.asarray(pixels, np.uint8)], [FACE_BOX[None]], looks=3)
    points = found.landmarks
    answer(tmp_path, points + np.float32([2, 0]))
    (label,) = blend(tmp_path, monkeypatch, "--model", str(STORE / "dfa"))
    assert (label.points[:68] - points).mean(axis=0) == pytest.approx([1, 0], abs=0.4)
    answer(tmp_path, points + np.float32([0.1 * side(points), 0]))
    with pytest.raises(SystemExit, match="no face"):
        blend(tmp_path, monkeypatch, "--model", str(STORE / "dfa"))
