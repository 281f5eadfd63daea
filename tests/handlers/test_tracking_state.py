"""A session's state: small, and the same after it has been stored."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from handlers.networks.box_tracker import SIZES
from handlers.predictors.tracking.state import (
    SCHEMA,
    FaceState,
    Memory,
    SessionState,
    SmoothingState,
)
from handlers.wire import dump_state, load_state
from tests.handlers.tracking_fakes import box, points_in

MAX_FACE_BYTES = 24 * 1024
Floats = NDArray[np.float32]
FEATURES = {"thesis": 1792, "compact": 1024}


def noise(width: int) -> Floats:
    return np.random.default_rng(width).normal(size=width).astype(np.float32)


def memory(size: str = "compact") -> Memory:
    layers = {name: noise(SIZES[size].hidden) for name in ("h1", "c1", "h2", "c2")}
    return {**layers, "features": noise(FEATURES[size])}


def full_face(size: str = "compact") -> FaceState:
    smoothing = SmoothingState(np.stack([points_in(box(9, 9))] * 2), 12.25)
    seen = np.full((2, 4), [9, 9, 40, 0.5], np.float32), points_in(box(9, 9))
    return FaceState(7, box(50, 50), box(40, 40), memory(size), 3, 250, 2, 0.25, smoothing, *seen)


def test_a_stored_state_is_the_same_again() -> None:
    bare = FaceState(9, box(5, 6), box(7, 8))
    state = SessionState(41, 12, 3, (full_face(), bare))
    blob = dump_state(state.to_tensors(), "dcrt", "aa", SCHEMA, state.step)
    back = SessionState.from_tensors(*load_state(blob, "dcrt", "aa", SCHEMA))
    assert (back.step, back.next_id, back.since_detection) == (41, 12, 3)
    for was, now in zip(state.faces, back.faces, strict=True):
        assert now.box.tolist() == was.box.tolist()
        assert now.first_box.tolist() == was.first_box.tolist()
        counts = (now.track_id, now.window, now.validated, now.lost)
        assert counts == (was.track_id, was.window, was.validated, was.lost)
    first, second = back.faces
    assert first.lost_probability == 0.25
    assert math.isnan(second.lost_probability)
    assert first.memory is not None
    kept = state.faces[0].memory
    assert kept is not None
    assert first.memory.keys() == kept.keys()
    assert all(np.array_equal(first.memory[name], kept[name]) for name in kept)
    assert first.smoothing is not None
    assert first.smoothing.time_s == 12.25
    assert first.view is not None
    assert first.view.tolist() == [[9, 9, 40, 0.5]] * 2
    np.testing.assert_array_equal(first.landmarks, points_in(box(9, 9)))
    assert (second.memory, second.smoothing, second.view) == (None, None, None)


def test_an_empty_session_is_stored_too() -> None:
    back = SessionState.from_tensors(SessionState(3, 5, 2).to_tensors(), 3)
    assert back == SessionState(3, 5, 2)


@pytest.mark.parametrize("size", ["thesis", "compact"])
def test_a_face_takes_at_most_24_kib_in_store(size: str) -> None:
    one = SessionState(1, 2, 0, (full_face(size),))
    two = SessionState(1, 2, 0, (full_face(size), full_face(size)))
    small, large = (dump_state(s.to_tensors(), "dcrt", "a" * 64, SCHEMA, 1) for s in (one, two))
    assert len(small) <= MAX_FACE_BYTES
    assert len(large) - len(small) <= MAX_FACE_BYTES


def test_a_session_can_start_at_given_boxes() -> None:
    state = SessionState.at([box(10, 10), box(90, 90)])
    assert [face.track_id for face in state.faces] == [1, 2]
    assert state.next_id == 3
    assert state.faces[1].first_box.tolist() == box(90, 90).tolist()


def test_tensors_of_another_making_are_refused() -> None:
    with pytest.raises(KeyError):
        SessionState.from_tensors({}, 0)
    tensors = SessionState(1, 2, 0, (full_face(),)).to_tensors()
    del tensors["face0.h2"]
    with pytest.raises(KeyError):
        SessionState.from_tensors(tensors, 1)
