"""The landmark network's window: kept while a face is at rest, moved as BT says when it moves."""

import numpy as np
import pytest
from numpy.typing import NDArray

from handlers.predictors.tracking.view import (
    KEEP,
    LOOK_AGAIN,
    anchor,
    between,
    from_view,
    lay,
    moved,
    to_view,
)
from handlers.processing.boxes import Crop

GUESS = np.array([100, 80, 50, 0.2], np.float32)
# The window in which the face was found, a little off BT's own.
KEPT = np.stack([np.array([103, 79, 56, 0.25], np.float32), GUESS])


def changed(*change: float) -> NDArray[np.float32]:
    return np.asarray(GUESS + np.array(change), np.float32)


@pytest.mark.parametrize("change", [(1.0, 0.8, 0, 0), (0, 0, 1.5, 0), (0, 0, 0, -0.04)])
def test_a_window_is_kept_where_bt_only_trembles(change: tuple[float, ...]) -> None:
    assert lay(changed(*change), KEPT) is KEPT


@pytest.mark.parametrize("change", [(1.5, 1.5, 0, 0), (0, 0, -3, 0), (0, 0, 0, 0.1)])
def test_a_window_moves_as_bt_has_moved(change: tuple[float, ...]) -> None:
    guess = changed(*change)
    window, kept_guess = lay(guess, KEPT)
    np.testing.assert_allclose(between(KEPT[0], window), between(GUESS, guess), atol=1e-5)
    np.testing.assert_array_equal(kept_guess, guess)


def test_the_first_window_is_bts_own() -> None:
    np.testing.assert_array_equal(lay(GUESS, None), np.stack([GUESS, GUESS]))


def test_slow_motion_never_leaves_the_window_behind() -> None:
    kept = KEPT
    for step in range(200):
        kept = lay(changed(0.1 * step, 0, 0, 0), kept)
        face = KEPT[0] + np.array([0.112 * step, 0, 0, 0], np.float32)
        assert LOOK_AGAIN.hold(kept[0], face)


def test_a_motion_and_its_window_belong_together() -> None:
    other = np.array([90, 95, 61, -0.3], np.float32)
    np.testing.assert_allclose(moved(GUESS, between(GUESS, other)), other, rtol=1e-5)


def test_half_a_turn_is_the_short_way_round() -> None:
    one, other = (np.array([0, 0, 9, angle], np.float32) for angle in (3.13, -3.13))
    assert between(one, other)[3] == pytest.approx(2 * np.pi - 6.26, abs=1e-5)
    assert KEEP.hold(one, other)


def test_the_next_window_starts_where_the_face_was_found() -> None:
    near, far = KEPT[0] + np.array([[0.5], [4]], np.float32) * np.array([1, 0, 0, 0], np.float32)
    assert anchor(KEPT, near) is KEPT
    np.testing.assert_array_equal(anchor(KEPT, far), np.stack([far, GUESS]))


def test_a_window_comes_back_from_the_session_as_it_was() -> None:
    crop = Crop((12.5, 99.25), 64.0, 128, 0.5)
    assert from_view(to_view(crop), 128) == crop
