"""Head poses come back from the views they made, with the signs that the module documents."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.checkpoint import load_checkpoint
from handlers.processing.landmarks import MIRROR, mirror
from handlers.processing.pose import HeadPose, PoseEstimator
from handlers.processing.similarity import DegenerateShape

STORE = Path(__file__).parents[2] / "model_store"
SHAPE = load_checkpoint(STORE / "face_shape").tensors["mean_shape_3d"].numpy().astype(np.float64)
WIDTH, HEIGHT = 640, 480
ESTIMATOR = PoseEstimator(SHAPE)

# Landmarks that turn out of sight first, and the nose that stands out.
NOSE_TIP, CHIN, NOSE_ROOT = 30, 8, 27


def seen(pose: HeadPose, distance: float = 6.0, focal: float = WIDTH) -> np.ndarray:
    """The mean head as a camera sees it: landmarks `(68, 2)` in pixels."""
    points = SHAPE @ pose.to_rotation().T + (0.2, -0.1, distance)
    centre = ((WIDTH - 1) / 2, (HEIGHT - 1) / 2)
    return (points[:, :2] / points[:, 2:] * focal + centre).astype(np.float32)


def angles(pose: HeadPose) -> tuple[float, float, float]:
    return pose.pitch_deg, pose.yaw_deg, pose.roll_deg


@settings(max_examples=50)
@given(st.floats(-45, 45), st.floats(-75, 75), st.floats(-170, 170), st.floats(3, 30))
def test_a_pose_is_found_again(pitch: float, yaw: float, roll: float, distance: float) -> None:
    made = HeadPose(pitch, yaw, roll)
    found = ESTIMATOR.estimate(seen(made, distance), WIDTH, HEIGHT)
    assert angles(found) == pytest.approx(angles(made), abs=0.3)


def test_a_rotation_and_its_angles_are_one() -> None:
    made = HeadPose(-20.0, 35.0, 120.0)
    assert angles(HeadPose.from_rotation(made.to_rotation())) == pytest.approx(angles(made))


def test_the_camera_may_be_told() -> None:
    made = HeadPose(5.0, -20.0, 3.0)
    landmarks = seen(made, distance=25.0, focal=3000.0)
    found = ESTIMATOR.estimate(landmarks, WIDTH, HEIGHT, focal=3000.0)
    assert angles(found) == pytest.approx(angles(made), abs=0.1)


def test_positive_angles_turn_the_way_that_is_documented() -> None:
    front = seen(HeadPose(0, 0, 0))
    between_eyes = front[36:48].mean(axis=0)
    down = seen(HeadPose(20, 0, 0))
    assert down[NOSE_TIP, 1] - down[36:48, 1].mean() > front[NOSE_TIP, 1] - between_eyes[1]
    left = seen(HeadPose(0, 25, 0))
    assert left[NOSE_TIP, 0] - left[36:48, 0].mean() < front[NOSE_TIP, 0] - between_eyes[0] - 5
    tilted = seen(HeadPose(0, 0, 20))
    assert tilted[45, 1] > tilted[36, 1] + 5


def test_a_mirrored_face_has_the_mirrored_pose() -> None:
    rng = np.random.default_rng(0)
    landmarks = seen(HeadPose(12, 30, -15)) + rng.normal(size=(68, 2)).astype(np.float32)
    one = ESTIMATOR.estimate(landmarks, WIDTH, HEIGHT)
    other = ESTIMATOR.estimate(mirror(landmarks, WIDTH), WIDTH, HEIGHT)
    assert angles(other) == pytest.approx((one.pitch_deg, -one.yaw_deg, -one.roll_deg), abs=0.01)


def test_the_hidden_side_of_the_jaw_has_no_say() -> None:
    made = HeadPose(0, 35, 0)
    landmarks = seen(made)
    landmarks[:8] += (25, 0)  # the left side of the picture is the far one, it slides inwards
    found = ESTIMATOR.estimate(landmarks, WIDTH, HEIGHT)
    assert angles(found) == pytest.approx(angles(made), abs=0.5)


def test_the_pose_of_a_turning_head_moves_without_a_jump() -> None:
    slid = np.zeros((68, 2), np.float32)
    slid[:8] = (4, 0)
    yaws = [
        ESTIMATOR.estimate(seen(HeadPose(0, yaw, 0)) + slid, WIDTH, HEIGHT).yaw_deg
        for yaw in np.arange(0, 20, 0.5)
    ]
    assert np.abs(np.diff(yaws)).max() < 1.0


@pytest.mark.parametrize(
    "landmarks",
    [
        np.zeros((68, 2)),
        np.full((68, 2), np.nan),
        np.stack([np.arange(68), np.arange(68)], axis=1),
        np.zeros((5, 2)),
    ],
    ids=["one place", "not finite", "on a line", "too few"],
)
def test_degenerate_landmarks_are_refused(landmarks: np.ndarray) -> None:
    with pytest.raises(DegenerateShape):
        ESTIMATOR.estimate(landmarks.astype(np.float32), WIDTH, HEIGHT)


def test_scattered_points_give_some_pose_or_are_refused() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        landmarks = rng.uniform(0, 400, (68, 2)).astype(np.float32)
        try:
            found = ESTIMATOR.estimate(landmarks, WIDTH, HEIGHT)
        except DegenerateShape:
            continue
        assert np.isfinite(angles(found)).all()


def test_the_stored_shape_is_a_symmetric_head_with_the_nose_towards_the_camera() -> None:
    np.testing.assert_allclose(SHAPE[MIRROR] * (-1, 1, 1), SHAPE, atol=1e-5)
    assert SHAPE[NOSE_TIP, 2] == SHAPE[:, 2].min()
    assert SHAPE[0, 2] == pytest.approx(SHAPE[:, 2].max(), abs=0.05)
    assert SHAPE[45, 0] - SHAPE[36, 0] == pytest.approx(1, abs=1e-5)
    assert SHAPE[CHIN, 1] > SHAPE[NOSE_TIP, 1] > SHAPE[NOSE_ROOT, 1]
    # A head is about as deep, from nose tip to ears, as three quarters of its width.
    depth = (SHAPE[0, 2] - SHAPE[NOSE_TIP, 2]) / (SHAPE[16, 0] - SHAPE[0, 0])
    assert 0.6 < depth < 0.85
