"""The landmark network's window: kept while a face is at rest, moved when it moves."""

import numpy as np
import pytest

from handlers.predictors.tracking_view import from_view, steady, to_view
from handlers.processing.boxes import Crop

KEPT = np.array([100, 80, 50, 0.2], np.float32)


@pytest.mark.parametrize("change", [(1.5, 1.0, 0, 0), (0, 0, 2, 0), (0, 0, 0, -0.05)])
def test_a_window_is_kept_where_the_face_only_trembles(change: tuple[float, ...]) -> None:
    view = KEPT + np.array(change, np.float32)
    assert steady(view, KEPT) is KEPT


@pytest.mark.parametrize("change", [(1.5, 1.5, 0, 0), (0, 0, -3, 0), (0, 0, 0, 0.1)])
def test_a_window_follows_a_face_that_moves_grows_or_turns(change: tuple[float, ...]) -> None:
    view = KEPT + np.array(change, np.float32)
    assert steady(view, KEPT) is view


def test_the_first_window_is_taken_as_it_is() -> None:
    assert steady(KEPT, None) is KEPT


def test_slow_motion_never_leaves_the_window_behind() -> None:
    kept = KEPT
    for step in range(200):
        view = KEPT + np.array([0.1 * step, 0, 0, 0], np.float32)
        kept = steady(view, kept)
        assert np.hypot(*(view - kept)[:2]) <= 0.04 * 50 + 1e-4


def test_a_window_comes_back_from_the_session_as_it_was() -> None:
    crop = Crop((12.5, 99.25), 64.0, 128, 0.5)
    assert from_view(to_view(crop), 128) == crop
