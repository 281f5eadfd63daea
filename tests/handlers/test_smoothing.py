"""The One-Euro filter: calm at rest, quick in motion, a function of what came before."""

import numpy as np
import pytest
from numpy.typing import NDArray

from handlers.predictors.tracking.state import OneEuro, SmoothingState, smooth
from tests.handlers.tracking_fakes import box, points_in

Floats = NDArray[np.float32]

FPS = 25
SIZE_PX = 150.0


def run(path: NDArray[np.float64], filter: OneEuro | None = None) -> Floats:
    """The filtered path `(T, 68, 2)`."""
    state: SmoothingState | None = None
    smoothed = []
    for index, points in enumerate(path):
        now = points.astype(np.float32)
        points, state = smooth(now, index / FPS, SIZE_PX, state, filter or OneEuro())
        smoothed.append(points)
    return np.stack(smoothed)


def still(frames: int, noise_px: float) -> NDArray[np.float64]:
    face = points_in(box(200, 200, 100)).astype(np.float64)
    rng = np.random.default_rng(0)
    return face + rng.normal(0, noise_px, (frames, 68, 2))


def jitter_px(path: NDArray[np.floating]) -> float:
    return float(np.linalg.norm(np.diff(path, axis=0), axis=-1).mean())


def test_the_first_frame_passes_as_it_is() -> None:
    points = points_in(box(10, 10))
    smoothed, state = smooth(points, 3.0, SIZE_PX, None, OneEuro())
    np.testing.assert_array_equal(smoothed, points)
    assert state.time_s == 3.0


def test_a_still_face_jitters_less_than_half() -> None:
    path = still(100, noise_px=0.5)
    assert jitter_px(run(path)[10:]) < jitter_px(path[10:]) / 2


def test_a_face_that_does_not_move_stays_where_it_is() -> None:
    path = still(20, noise_px=0)
    np.testing.assert_allclose(run(path), path, atol=1e-3)


def test_a_fast_face_is_followed_with_less_than_a_frame_of_lag() -> None:
    speed_px = SIZE_PX / FPS  # one diagonal a second
    steps = np.arange(50)[:, None, None] * np.array([speed_px, 0])
    path = still(50, noise_px=0) + steps
    lag_px = (path - run(path))[25:, :, 0]
    assert lag_px.max() < speed_px


def test_without_beta_a_fast_face_lags() -> None:
    speed_px = SIZE_PX / FPS
    path = still(50, noise_px=0) + np.arange(50)[:, None, None] * np.array([speed_px, 0])
    lag_px = (path - run(path, OneEuro(beta=0.0)))[25:, :, 0]
    assert lag_px.min() > speed_px


def test_the_filter_is_that_of_the_paper() -> None:
    points = [np.array([[0.0, 0.0]]), np.array([[1.0, 0.0]]), np.array([[3.0, 0.0]])]
    settings = OneEuro(min_cutoff_hz=1.0, beta=2.0, speed_cutoff_hz=1.0)
    state, values = None, []
    for index, point in enumerate(points):
        value, state = smooth(point.astype(np.float32), index / 10, 1.0, state, settings)
        values.append(float(value[0, 0]))

    def alpha(cutoff: float) -> float:
        return 1 / (1 + 1 / (2 * np.pi * cutoff * 0.1))

    expected, speed = [0.0], 0.0
    for now in (1.0, 3.0):
        derivative = (now - expected[-1]) / 0.1
        speed = alpha(1.0) * derivative + (1 - alpha(1.0)) * speed
        share = alpha(1.0 + 2.0 * abs(speed))
        expected.append(share * now + (1 - share) * expected[-1])
    assert values == pytest.approx(expected, rel=1e-5)


def test_a_time_that_does_not_rise_changes_next_to_nothing() -> None:
    first, second = still(2, noise_px=2).astype(np.float32)
    _, state = smooth(first, 1.0, SIZE_PX, None, OneEuro())
    again, _ = smooth(second, 1.0, SIZE_PX, state, OneEuro(beta=0.0))
    assert np.isfinite(again).all()
    assert np.abs(again - first).max() < 0.2


def test_the_given_state_is_left_alone() -> None:
    first, second = still(2, noise_px=2).astype(np.float32)
    _, state = smooth(first, 1.0, SIZE_PX, None, OneEuro())
    before = state.values.copy()
    smooth(second, 1.04, SIZE_PX, state, OneEuro())
    np.testing.assert_array_equal(state.values, before)
