"""The fit of the mean face finds a known head again in its own views."""

from pathlib import Path

import numpy as np
import pytest

from handlers.checkpoint import load_checkpoint
from handlers.processing.pose import HeadPose
from handlers.training.align.fit_face_shape import fit_plane, fit_space, read_faces

STORE = Path(__file__).parents[2] / "model_store"
HEAD = load_checkpoint(STORE / "face_shape").tensors["mean_shape_3d"].numpy().astype(np.float64)


def views(count: int, noise: float, yaw_deg: float = 25.0) -> np.ndarray:
    rng = np.random.default_rng(0)
    faces = []
    for pitch, yaw, roll in rng.normal(size=(count, 3)) * (8, yaw_deg, 8):
        turned = (HEAD @ HeadPose(pitch, yaw, roll).to_rotation().T)[:, :2]
        faces.append(rng.uniform(50, 150) * turned + rng.normal(size=2) * 40)
    return np.stack(faces) + rng.normal(size=(count, 68, 2)) * noise


def test_a_head_is_found_again_in_its_views() -> None:
    found = fit_space(views(120, noise=0.0), rounds=10)
    assert np.abs(found - (HEAD - HEAD.mean(axis=0))).max() < 0.06


def test_noise_moves_the_head_only_a_little() -> None:
    found = fit_space(views(120, noise=2.0), rounds=10)
    assert np.abs(found - (HEAD - HEAD.mean(axis=0))).mean() < 0.03


def test_the_plane_shape_is_upright_symmetric_and_inside_its_frame() -> None:
    plane = fit_plane(views(50, noise=1.0, yaw_deg=5.0))
    assert plane[36, 0] < plane[45, 0]
    assert plane[36, 1] == pytest.approx(plane[45, 1], abs=1e-9)
    assert plane[8, 1] > plane[30, 1] > plane[27, 1]
    assert plane.min() > 0
    assert plane.max() < 127


def test_a_folder_without_annotations_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=str(tmp_path)):
        read_faces([tmp_path])
