"""The landmark network's window: kept while a face is at rest, moved as BT says when it moves."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow

from handlers.predictors.tracking.options import TrackingOptions
from handlers.predictors.tracking.results import points_back, quarters_of, turned
from handlers.predictors.tracking.stages import (
    KEEP,
    LOOK_AGAIN,
    anchor,
    lay,
    moved,
    settle,
)
from handlers.predictors.tracking.state import SessionState
from handlers.processing.boxes import Crop
from handlers.processing.windows import between, from_view, to_view
from handlers.track import load_parts
from tests.handlers.align_fakes import ROOT, STORE

PORTRAIT = ROOT / "tests" / "assets" / "astronaut.jpg"
Floats = NDArray[np.float32]
FACE = np.random.default_rng(3).uniform(100, 200, (68, 2)).astype(np.float32)
GUESS = np.array([100, 80, 50, 0.2], np.float32)
# The window in which the face was found, a little off BT's own.
KEPT = np.stack([np.array([103, 79, 56, 0.25], np.float32), GUESS])


@pytest.mark.parametrize("quarters", range(4))
def test_points_of_a_turned_frame_come_back_to_their_pixels(quarters: int) -> None:
    frame = np.random.default_rng(quarters).integers(0, 255, (30, 50, 3), np.uint8)
    looked_at = turned(frame, quarters)
    points = np.array([[3, 7], [20, 11], [0, 0]], np.float32)
    back = points_back(points, quarters, 50, 30).astype(int)
    for (x, y), (u, v) in zip(points.astype(int), back, strict=True):
        np.testing.assert_array_equal(looked_at[y, x], frame[v, u])


def test_the_first_search_tries_every_turn_and_most_later_ones_look_upright_alone() -> None:
    first, *later = (quarters_of(count) for count in range(12))
    assert first == (1, 3, 2)
    assert [one for one in later if one] == [(3,), (2,), (1,)]


@pytest.mark.skipif(not (STORE / "dcrt").is_dir(), reason="model_store/dcrt holds no weights yet")
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_a_face_at_any_quarter_is_found_at_once_and_followed_with_its_landmarks(
    degrees: int,
) -> None:
    predictor = load_parts(STORE, "cpu").predictor
    portrait = Pillow.open(PORTRAIT).convert("RGB").crop((100, 0, 340, 240))
    frame = np.asarray(portrait.rotate(-degrees, expand=True))
    state, seen = None, []
    for number in range(12):
        ((result, state),) = predictor.step([frame], [state], [TrackingOptions()], [number * 0.15])
        seen.append(result)
        state = SessionState.from_tensors(state.to_tensors(), state.step)
    assert all(result.faces for result in seen[1:])
    (face,) = seen[-1].faces
    assert face.landmarks is not None
    right, down = (
        np.diff(face.landmarks[[36, 45]], axis=0)[0],
        face.landmarks[8] - face.landmarks[27],
    )
    roll = np.degrees(np.arctan2(right[1], right[0]))
    assert abs((roll - degrees + 180) % 360 - 180) < 15
    assert np.linalg.norm(down) > 50
    assert len({one.track_id for result in seen for one in result.faces}) == 1


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
