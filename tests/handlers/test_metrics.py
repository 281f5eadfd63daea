"""The figures of the alignment tables, against values worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from handlers.evaluation.metrics import (
    auc,
    box_size,
    cumulative_errors,
    eye_distance,
    failure_rate,
    nme_box,
    nme_eyes,
    paired_bootstrap,
)


def square_face() -> NDArray[np.float32]:
    """Landmarks in a box of 40 x 90 whose outer eye corners are 30 apart (a 3-4-5 triangle)."""
    points = np.full((68, 2), 20, dtype=np.float32)
    points[0], points[8] = (0, 0), (40, 90)
    points[36], points[45] = (10, 10), (28, 34)
    return points


def test_sizes_are_the_root_of_the_box_area_and_the_outer_eye_distance() -> None:
    assert box_size(square_face()) == pytest.approx(60)
    assert eye_distance(square_face()) == pytest.approx(30)


def test_a_uniform_shift_gives_its_length_over_the_size() -> None:
    moved = square_face() + np.array([3, 4], np.float32)
    assert nme_box(moved, square_face()) == pytest.approx(5 / 60)
    assert nme_eyes(moved, square_face()) == pytest.approx(5 / 30)


def test_one_wrong_point_counts_a_sixty_eighth() -> None:
    moved = square_face()
    moved[30] += (0, 60)
    assert nme_box(moved, square_face()) == pytest.approx(1 / 68)


def test_the_size_comes_from_the_truth_not_from_the_prediction() -> None:
    larger = square_face() * 2
    assert nme_box(larger, square_face()) != pytest.approx(nme_box(square_face(), larger))


def test_a_truth_without_area_is_refused() -> None:
    flat = square_face()
    flat[:, 1] = 5
    with pytest.raises(ValueError, match="size 0.0"):
        nme_box(square_face(), flat)


def test_the_area_is_exact_not_sampled() -> None:
    # Steps at .02 and .06 of three faces; the third is never found.
    errors = np.array([0.02, 0.06, np.inf])
    assert auc(errors) == pytest.approx((0.06 + 0.02) / 0.08 / 3)
    assert auc(np.zeros(4)) == 1
    assert auc(np.full(4, np.inf)) == 0


def test_an_error_at_the_threshold_is_no_failure_and_a_missed_face_is_one() -> None:
    assert failure_rate(np.array([0.08, 0.0800001, np.inf, 0.01])) == 0.5


def test_the_curve_rises_at_each_error_and_ends_at_the_share_below_the_threshold() -> None:
    at, share = cumulative_errors(np.array([0.06, 0.02, 0.5, np.inf]))
    np.testing.assert_allclose(at, [0, 0.02, 0.06, 0.08])
    np.testing.assert_allclose(share, [0, 0.25, 0.5, 0.5])


@given(st.lists(st.floats(0, 0.2), min_size=1, max_size=30))
def test_the_area_under_the_drawn_curve_is_the_auc(values: list[float]) -> None:
    errors = np.array(values)
    at, share = cumulative_errors(errors)
    area = float(np.sum(np.diff(at) * share[:-1])) / 0.08
    assert area == pytest.approx(auc(errors), abs=1e-9)


def test_a_bootstrap_of_a_constant_gain_has_no_width() -> None:
    errors = np.random.default_rng(0).uniform(0.02, 0.05, 50)
    interval = paired_bootstrap(errors, errors + 0.008)
    assert interval.difference == pytest.approx(0.1)
    assert [interval.low, interval.high] == pytest.approx([0.1, 0.1])


def test_the_interval_is_the_same_for_the_same_seed_and_turns_with_the_order() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.uniform(0, 0.1, 80), rng.uniform(0, 0.1, 80)
    one, again = paired_bootstrap(first, second), paired_bootstrap(first, second)
    turned = paired_bootstrap(second, first)
    assert one == again
    assert one != paired_bootstrap(first, second, seed=1)
    assert one.low <= one.difference <= one.high
    assert [turned.low, turned.high] == pytest.approx([-one.high, -one.low])


def test_the_interval_is_as_wide_as_theory_says() -> None:
    noise = np.random.default_rng(2).normal(0, 0.008, 400)
    first, second = np.full(400, 0.04) + noise, np.full(400, 0.04)
    interval = paired_bootstrap(first, second)
    expected = 2 * 1.96 * np.std(noise / 0.08) / np.sqrt(400)
    assert interval.high - interval.low == pytest.approx(expected, rel=0.1)


def test_frames_of_one_person_widen_the_interval() -> None:
    rng = np.random.default_rng(3)
    per_person = np.repeat(rng.normal(0, 0.008, 20), 10)
    first, second = 0.04 + per_person, np.full(200, 0.04)
    people = [str(i // 10) for i in range(200)]
    alone, grouped = paired_bootstrap(first, second), paired_bootstrap(first, second, people)
    assert grouped.high - grouped.low > 2 * (alone.high - alone.low)
    assert grouped.difference == pytest.approx(alone.difference)


def test_unpaired_errors_are_refused() -> None:
    with pytest.raises(ValueError, match="got 2 and 3"):
        paired_bootstrap(np.zeros(2), np.zeros(3))
    with pytest.raises(ValueError, match="got 0 and 0"):
        paired_bootstrap(np.zeros(0), np.zeros(0))
