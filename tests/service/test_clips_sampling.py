"""Which moments of a source a working rate takes, and where moments without a place go."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.media.clips.times import IncreasingTimes, Moment, sample

INTERVALS_MS = st.lists(st.integers(1, 400), min_size=1, max_size=60)
RATES_HZ = st.sampled_from([1.0, 5.0, 12.5, 25.0, 30.0, 60.0])


def times_of(intervals_ms: list[int]) -> list[float]:
    times = [0.2]
    for interval in intervals_ms:
        times.append(round(times[-1] + interval / 1000, 3))
    return times


def moments(times: list[float]) -> list[Moment]:
    return [Moment(number, time_s, None) for number, time_s in enumerate(times)]


def taken(times: list[float], rate_hz: float, even: bool = False) -> list[float]:
    return [moment.time_s for moment in sample(moments(times), rate_hz, even)]


@given(INTERVALS_MS, RATES_HZ)
def test_every_tick_has_its_nearest_moment_and_no_moment_comes_twice(
    intervals_ms: list[int], rate_hz: float
) -> None:
    times = times_of(intervals_ms)
    found = taken(times, rate_hz)
    assert found == sorted(set(found))
    assert found[0] == times[0]
    ticks = [
        times[0] + number / rate_hz for number in range(int((times[-1] - times[0]) * rate_hz) + 1)
    ]
    for tick in ticks:
        best = min(abs(time_s - tick) for time_s in times)
        assert min(abs(time_s - tick) for time_s in found) <= best + 1e-6
    assert len(found) <= len(ticks) + 1


@given(RATES_HZ, st.integers(2, 80), st.floats(1.0, 4.0))
def test_a_source_that_is_no_faster_passes_whole(rate_hz: float, count: int, slower: float) -> None:
    times = [3.0 + number * slower / rate_hz for number in range(count)]
    assert taken(times, rate_hz) == times


@pytest.mark.parametrize("source_hz", [26.0, 29.97, 30.0, 50.0, 59.94, 120.0, 240.0])
def test_of_a_faster_source_the_nearest_frames_come_at_even_times(source_hz: float) -> None:
    source = moments([number / source_hz for number in range(500)])
    found = list(sample(source, 25.0, even=True))
    np.testing.assert_allclose(np.diff([moment.time_s for moment in found]), 0.04, atol=1e-9)
    apart = [abs(source[moment.number].time_s - moment.time_s) for moment in found]
    assert max(apart) <= 0.5 / source_hz + 1e-9


@given(INTERVALS_MS, RATES_HZ)
def test_even_times_run_forwards_even_over_holes(intervals_ms: list[int], rate_hz: float) -> None:
    found = taken(times_of(intervals_ms), rate_hz, even=True)
    assert found == sorted(set(found))


def test_an_infinite_rate_passes_on_all() -> None:
    times = [0.0, 0.0001, 0.0002, 5.0]
    assert taken(times, math.inf) == times


def test_times_that_jitter_by_a_millisecond_lose_no_frame() -> None:
    times = [number * 0.04 + (number % 3 - 1) * 0.001 for number in range(100)]
    assert taken(times, 25.0) == times


def test_a_moment_passes_as_soon_as_the_next_one_is_known() -> None:
    source = iter(moments([0.0, 0.04, 0.08]))
    assert next(sample(source, 25.0, even=False)).number == 0
    assert next(source).number == 2


def placed(times: list[float]) -> tuple[list[float], int]:
    forwards = IncreasingTimes(0.04)
    found = [round(moment.time_s, 4) for moment in forwards.run(moments(times))]
    return found, forwards.moved


@pytest.mark.parametrize(
    ("times", "right", "moved"),
    [
        ([0.0, 0.04, 0.04, 0.12], [0.0, 0.04, 0.08, 0.12], 1),
        ([0.0, 0.04, 0.04, 0.04, 0.16], [0.0, 0.04, 0.08, 0.12, 0.16], 2),
        ([0.0, 0.04, 0.04, 0.08], [0.0, 0.04, 0.06, 0.08], 1),
        ([0.0, 0.04, 0.02, 0.12], [0.0, 0.04, 0.08, 0.12], 1),
        ([0.0, 0.04, 9.0, 0.12], [0.0, 0.04, 0.08, 0.12], 1),
        ([0.0, 0.04, 5.0, 5.04], [0.0, 0.04, 5.0, 5.04], 0),
        ([0.0, 0.04, 0.08, 70.0], [0.0, 0.04, 0.08, 70.0], 0),
        ([0.0, 0.04, 0.04], [0.0, 0.04, 0.08], 1),
        ([0.0] * 6, [0.0, 0.001, 0.002, 0.003, 0.004, 0.044], 5),
    ],
)
def test_moments_without_a_place_lie_between_their_neighbours(
    times: list[float], right: list[float], moved: int
) -> None:
    assert placed(times) == (right, moved)


@given(st.lists(st.floats(0, 100), max_size=60))
def test_any_times_run_forwards_and_none_is_lost(times: list[float]) -> None:
    found, _ = placed(times)
    assert len(found) == len(times)
    exact = [moment.time_s for moment in IncreasingTimes(0.04).run(moments(times))]
    assert all(later > earlier for earlier, later in zip(exact, exact[1:], strict=False))
