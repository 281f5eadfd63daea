"""The fits of the mean face in the plane and of the head in space, on a kit that is made up."""

from pathlib import Path

import numpy as np
import pytest

from handlers.evaluation.pose import evaluate_pose
from handlers.processing.pose import HeadModel, HeadPose
from handlers.training.align.fit_face_shape import ShapeKit, fit_plane, fit_space, read_faces
from tests.handlers.test_pose import MEAN, MODES, STORE, seen, somebody


def kit(folder: Path, **changed: np.ndarray) -> Path:
    """A kit's file: the stored head as the neutral one, and modes of both kinds, in its axes."""
    modes = MODES.transpose(2, 0, 1)
    parts = {"N": MEAN, "I": modes[:8], "E": modes[8:], **changed}
    path = folder / "kit.npz"
    np.savez(path, **{name: part / (10, -10, -10) for name, part in parts.items()})
    return path


def test_all_that_heads_differ_by_is_kept_or_counted(tmp_path: Path) -> None:
    heads = ShapeKit.read(kit(tmp_path))
    np.testing.assert_allclose(heads.neutral, MEAN)
    few, all_ = (fit_space(heads, count) for count in (4, 16))
    rng = np.random.default_rng(0)
    drawn = np.stack([heads.draw(rng) for _ in range(4000)])
    np.testing.assert_allclose(drawn.mean(axis=0), all_["head_mean"], atol=0.5)
    for fitted in (few, all_):
        kept = (fitted["head_modes"] ** 2).sum(axis=2).mean(axis=1)
        told = kept + fitted["head_spread"] ** 2
        np.testing.assert_allclose(told, drawn.var(axis=0).mean(axis=1), rtol=0.15)
    assert few["head_spread"].mean() > all_["head_spread"].mean()


def test_a_head_is_fitted_with_what_was_made_of_the_kit(tmp_path: Path) -> None:
    fitted = fit_space(ShapeKit.read(kit(tmp_path)))
    view = HeadModel(*fitted.values()).fit(seen(HeadPose(0, 20, 0)))
    assert HeadPose.from_rotation(view.rotation).yaw_deg == pytest.approx(20, abs=1.5)


def test_a_file_that_is_no_kit_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no heads"):
        ShapeKit.read(kit(tmp_path, N=MEAN[:5]))
    np.savez(tmp_path / "other.npz", N=MEAN)
    with pytest.raises(ValueError, match="lacks E, I"):
        ShapeKit.read(tmp_path / "other.npz")


def test_the_plane_shape_is_upright_symmetric_and_inside_its_frame() -> None:
    rng = np.random.default_rng(0)
    turned = [HeadPose(*rng.normal(size=3) * (8, 5, 8)) for _ in range(50)]
    plane = fit_plane(np.stack([seen(pose, somebody(rng)) for pose in turned]).astype(np.float64))
    assert plane[36, 0] < plane[45, 0]
    assert plane[36, 1] == pytest.approx(plane[45, 1], abs=1e-9)
    assert plane[8, 1] > plane[30, 1] > plane[27, 1]
    assert plane.min() > 0
    assert plane.max() < 127


def test_a_folder_without_annotations_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=str(tmp_path)):
        read_faces([tmp_path])


def test_the_served_pose_is_measured_on_the_heads_of_a_kit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    front, *_ = evaluate_pose(kit(tmp_path), STORE, count=20)
    assert (front.mean_absolute < 3).all()
    assert np.abs(front.bias).max() < 2
    assert "20 people a row" in capsys.readouterr().out
