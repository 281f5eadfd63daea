"""Head poses come back from the views they made, with the signs that the module documents."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.checkpoint import load_checkpoint
from handlers.processing.landmarks import MIRROR, DegenerateShape, mirror
from handlers.processing.pose import HeadPose, assumed_focal_px
from handlers.store import load_pose

STORE = Path(__file__).parents[2] / "model_store"
HEAD = load_checkpoint(STORE / "face_shape").tensors
MEAN = HEAD["head_mean"].numpy().astype(np.float64)
MEAN -= MEAN[17:].mean(axis=0)
MODES = HEAD["head_modes"].numpy().astype(np.float64)
WIDTH, HEIGHT = 640, 480
ESTIMATOR = load_pose(STORE)

# Landmarks that turn out of sight first, and the nose that stands out.
NOSE_TIP, CHIN, NOSE_ROOT = 30, 8, 27
EYES_APART_MM = 89.0


def somebody(rng: np.random.Generator) -> np.ndarray:
    return MEAN + MODES @ rng.standard_normal(MODES.shape[2])


def seen(pose: HeadPose, head: np.ndarray = MEAN, distance_mm: float = 900.0) -> np.ndarray:
    """A head as a camera that looks at it sees it: landmarks `(68, 2)`, 2 mm a pixel."""
    x, y, z = (head @ pose.to_rotation().T).T
    points = np.stack([x, y], axis=1) / (1 + z[:, None] / distance_mm) / 2
    return (points + (WIDTH / 2, HEIGHT / 2)).astype(np.float32)


def estimate(landmarks: np.ndarray, width: int = WIDTH, height: int = HEIGHT) -> HeadPose:
    return ESTIMATOR.estimate(landmarks, width, height)


def angles(pose: HeadPose) -> tuple[float, float, float]:
    return pose.pitch_deg, pose.yaw_deg, pose.roll_deg


def errors(count: int, yaw_deg: float, pitch_deg: float, noise: float) -> np.ndarray:
    """Errors in degrees, `(count, 3)`, of people with expressions; noise in eye distances."""
    rng, found = np.random.default_rng(0), []
    for _ in range(count):
        made = HeadPose(*(rng.uniform(-most, most) for most in (pitch_deg, yaw_deg, 30)))
        landmarks = seen(made, somebody(rng), rng.uniform(400, 3000))
        landmarks += rng.normal(size=(68, 2)) * noise * EYES_APART_MM / 2
        found.append(np.subtract(angles(estimate(landmarks.astype(np.float32))), angles(made)))
    return np.array(found)


@settings(max_examples=50, deadline=None)
@given(st.floats(-40, 40), st.floats(-60, 60), st.floats(-170, 170), st.floats(400, 3000))
def test_the_pose_of_the_mean_head_is_found_again(
    pitch: float, yaw: float, roll: float, distance_mm: float
) -> None:
    made = HeadPose(pitch, yaw, roll)
    assert angles(estimate(seen(made, MEAN, distance_mm))) == pytest.approx(angles(made), abs=2.5)


@pytest.mark.parametrize("noise", [0.0, 0.015, 0.03])
def test_people_with_expressions_are_off_by_three_degrees_at_most_in_the_mean(noise: float) -> None:
    found = np.abs(errors(150, yaw_deg=45, pitch_deg=25, noise=noise)).mean(axis=0)
    assert (found < 3).all(), found


def test_zero_is_a_head_that_is_upright_and_straight_ahead() -> None:
    assert angles(estimate(seen(HeadPose(0, 0, 0)))) == pytest.approx((0, 0, 0), abs=0.5)
    assert np.abs(errors(150, yaw_deg=5, pitch_deg=5, noise=0.015).mean(axis=0)).max() < 1


@settings(max_examples=30, deadline=None)
@given(st.floats(0, 8000), st.floats(0, 12000), st.floats(0.2, 10), st.integers(100, 12000))
def test_the_same_face_has_the_same_pose_in_any_place_of_any_picture(
    x: float, y: float, size: float, side: int
) -> None:
    landmarks = seen(HeadPose(-12, 25, 8), somebody(np.random.default_rng(3)))
    elsewhere = (landmarks - landmarks.mean(axis=0)) * size + (x, y)
    found = estimate(elsewhere.astype(np.float32), side, 2 * side)
    assert angles(found) == pytest.approx(angles(estimate(landmarks)), abs=0.1)


def test_the_place_is_that_of_the_assumed_camera() -> None:
    focal = assumed_focal_px(WIDTH, HEIGHT)
    assert focal == 500
    points = MEAN + (50, -30, 800)
    landmarks = points[:, :2] / points[:, 2:] * focal + (WIDTH / 2, HEIGHT / 2)
    found = estimate(landmarks.astype(np.float32)).position_mm
    assert found == pytest.approx((50, -30, 800), rel=0.03)


def test_a_rotation_and_its_angles_are_one() -> None:
    made = HeadPose(-20.0, 35.0, 120.0)
    assert angles(HeadPose.from_rotation(made.to_rotation())) == pytest.approx(angles(made))


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
    one = estimate(landmarks)
    other = estimate(mirror(landmarks, WIDTH))
    assert angles(other) == pytest.approx((one.pitch_deg, -one.yaw_deg, -one.roll_deg), abs=0.5)


def test_the_hidden_side_of_the_jaw_has_little_say() -> None:
    made = HeadPose(0, 35, 0)
    landmarks = seen(made)
    landmarks[:8] += (8, 0)  # the left side of the picture is the far one, it slides inwards
    assert angles(estimate(landmarks)) == pytest.approx(angles(made), abs=2)


def test_the_pose_of_a_turning_head_moves_without_a_jump() -> None:
    slid = np.zeros((68, 2), np.float32)
    slid[:8] = (3, 0)
    yaws = [estimate(seen(HeadPose(0, yaw, 0)) + slid).yaw_deg for yaw in np.arange(-20, 40, 0.5)]
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
        estimate(landmarks.astype(np.float32))


def test_scattered_points_give_some_pose_or_are_refused() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        landmarks = rng.uniform(0, 400, (68, 2)).astype(np.float32)
        try:
            found = estimate(landmarks)
        except DegenerateShape:
            continue
        assert np.isfinite([*angles(found), *(found.position_mm or ())]).all()


def test_the_stored_head_is_symmetric_with_the_nose_towards_the_camera() -> None:
    np.testing.assert_allclose(MEAN[MIRROR] * (-1, 1, 1), MEAN, atol=1.5)
    assert MEAN[NOSE_TIP, 2] == MEAN[:, 2].min()
    assert MEAN[0, 2] == pytest.approx(MEAN[:, 2].max(), abs=3)
    assert MEAN[45, 0] - MEAN[36, 0] == pytest.approx(EYES_APART_MM, abs=2)
    assert MEAN[CHIN, 1] > MEAN[NOSE_TIP, 1] > MEAN[NOSE_ROOT, 1]
