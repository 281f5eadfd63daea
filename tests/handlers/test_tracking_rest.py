"""Landmarks of a face at rest: noise is averaged away, motion is not delayed."""

import numpy as np
from numpy.typing import NDArray

from handlers.predictors.tracking.view import settle

Floats = NDArray[np.float32]
FACE = np.random.default_rng(3).uniform(100, 200, (68, 2)).astype(np.float32)


def noisy(rng: np.random.Generator, sigma_px: float = 0.3) -> Floats:
    return np.asarray(FACE + rng.normal(0, sigma_px, FACE.shape), np.float32)


def motion(points: list[Floats]) -> float:
    return float(np.linalg.norm(np.diff(np.stack(points), axis=0), axis=-1).mean())


def test_noise_is_more_than_halved() -> None:
    rng = np.random.default_rng(0)
    seen = [noisy(rng) for _ in range(60)]
    held = [seen[0]]
    for points in seen[1:]:
        held.append(settle(points, held[-1]))
    assert motion(held[5:]) < 0.4 * motion(seen[5:])
    assert np.abs(np.mean(held[5:], axis=0) - FACE).max() < 0.3


def test_a_face_that_moves_as_a_whole_is_followed_at_once() -> None:
    moved = FACE + np.array([2.0, -1.0], np.float32)
    np.testing.assert_allclose(settle(moved, FACE), moved, atol=1e-4)


def test_a_lid_that_closes_is_followed_at_once() -> None:
    closed = FACE.copy()
    closed[37:39, 1] += 4
    np.testing.assert_allclose(settle(closed, FACE), closed, atol=1e-4)


def test_what_does_not_move_stays() -> None:
    np.testing.assert_array_equal(settle(FACE, FACE), FACE)
