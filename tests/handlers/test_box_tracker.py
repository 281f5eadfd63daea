"""BT: whole sequences equal joined steps, the past stays, rows do not mix, the state is small."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from handlers.networks.box_tracker import BoxTracker, State, from_pixels, to_pixels

MAX_STATE_BYTES = 24 * 1024


@pytest.fixture
def tracker() -> BoxTracker:
    torch.manual_seed(0)
    return BoxTracker("tiny").eval()


def sequence(tracker: BoxTracker, rows: int, steps: int) -> tuple[Tensor, Tensor]:
    shape = (2, rows, steps, tracker.feature_width)
    now, before = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    return now, before


def joined_steps(
    tracker: BoxTracker, now: Tensor, before: Tensor, state: State
) -> tuple[Tensor, State]:
    points = []
    for t in range(now.shape[1]):
        one, state = tracker.step(now[:, t], before[:, t], state)
        points.append(one)
    return torch.stack(points, dim=1), state


def test_a_whole_sequence_equals_its_joined_steps(tracker: BoxTracker) -> None:
    now, before = sequence(tracker, rows=3, steps=5)
    start = tracker.initial_state(3)
    assert_close(tracker(now, before, start), joined_steps(tracker, now, before, start))


def test_what_was_said_of_a_prefix_never_changes_later(tracker: BoxTracker) -> None:
    now, before = sequence(tracker, rows=2, steps=6)
    whole, _ = tracker(now, before, tracker.initial_state(2))
    prefix, _ = tracker(now[:, :4], before[:, :4], tracker.initial_state(2))
    assert_close(prefix, whole[:, :4])


def test_rows_of_a_batch_are_independent(tracker: BoxTracker) -> None:
    now, before = sequence(tracker, rows=3, steps=4)
    together, _ = tracker(now, before, tracker.initial_state(3))
    for row in range(3):
        part = slice(row, row + 1)
        alone, _ = tracker(now[part], before[part], tracker.initial_state(1))
        assert_close(alone, together[part])


def test_rows_of_crops_are_independent(tracker: BoxTracker) -> None:
    crops = torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(2)) * 2 - 1
    together = tracker.features(crops)
    assert together.shape == (2, tracker.feature_width)
    assert_close(torch.cat([tracker.features(crops[:1]), tracker.features(crops[1:])]), together)


def test_a_step_remembers(tracker: BoxTracker) -> None:
    now, before = sequence(tracker, rows=1, steps=1)
    first, state = tracker.step(now[:, 0], before[:, 0], tracker.initial_state(1))
    second, _ = tracker.step(now[:, 0], before[:, 0], state)
    assert not torch.allclose(first, second)


def test_a_step_leaves_the_given_state_alone(tracker: BoxTracker) -> None:
    now, before = sequence(tracker, rows=1, steps=1)
    state = tracker.initial_state(1)
    tracker.step(now[:, 0], before[:, 0], state)
    assert_close(state, tracker.initial_state(1))


def test_both_frames_count(tracker: BoxTracker) -> None:
    now, before = sequence(tracker, rows=1, steps=1)
    one, _ = tracker.step(now[:, 0], before[:, 0], tracker.initial_state(1))
    swapped, _ = tracker.step(before[:, 0], now[:, 0], tracker.initial_state(1))
    assert not torch.allclose(one, swapped)


def test_features_tell_where_in_the_crop_something_lies(tracker: BoxTracker) -> None:
    crops = torch.zeros(2, 3, 128, 128)
    crops[0, :, 32:64, 32:64] = 1
    crops[1, :, 64:96, 64:96] = 1
    left, right = tracker.features(crops)
    assert not torch.allclose(left, right)


@pytest.mark.slow
@pytest.mark.parametrize("size", ["thesis", "compact"])
def test_state_and_kept_features_of_a_face_take_at_most_24_kib(size: str) -> None:
    tracker = BoxTracker(size)
    kept = 4 * tracker.hidden + tracker.feature_width
    assert kept * 4 <= MAX_STATE_BYTES


@pytest.mark.slow
def test_the_thesis_size_has_the_widths_of_the_thesis() -> None:
    tracker = BoxTracker("thesis")
    assert tracker.feature_width == 1792
    assert tracker.embedding[0].out_features == 1024
    assert (tracker.lstm1.hidden_size, tracker.lstm2.hidden_size) == (512, 512)
    assert tracker.lstm2.input_size == 1024 + 512


def test_points_are_scaled_to_pixels_and_back() -> None:
    corners = torch.tensor([[-1.0, -1.0], [1.0, 1.0], [0.0, 0.0]])
    assert_close(to_pixels(corners), torch.tensor([[-0.5, -0.5], [127.5, 127.5], [63.5, 63.5]]))
    assert_close(from_pixels(to_pixels(corners)), corners)
