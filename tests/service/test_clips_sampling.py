"""Which moments of a source a working rate takes."""

from hypothesis import given
from hypothesis import strategies as st

from service.media.clips.pictures import forwards, sample

INTERVALS_MS = st.lists(st.integers(1, 400), min_size=1, max_size=60)
RATES_HZ = st.sampled_from([1.0, 5.0, 12.5, 25.0, 30.0, 60.0])


def times_of(intervals_ms: list[int]) -> list[float]:
    times = [0.2]
    for interval in intervals_ms:
        times.append(round(times[-1] + interval / 1000, 3))
    return times


def taken(times: list[float], rate_hz: float) -> list[float]:
    return [time_s for time_s, _ in sample(((time_s, None) for time_s in times), rate_hz)]


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


def test_times_that_jitter_by_a_millisecond_lose_no_frame() -> None:
    times = [number * 0.04 + (number % 3 - 1) * 0.001 for number in range(100)]
    assert taken(times, 25.0) == times


def test_a_moment_passes_as_soon_as_the_next_one_is_known() -> None:
    source = iter([(0.0, "a"), (0.04, "b"), (0.08, "c")])
    assert next(sample(source, 25.0)) == (0.0, "a")
    assert next(source) == (0.08, "c")


def test_times_that_run_backwards_or_leap_alone_are_left_out() -> None:
    times = [0.0, 0.04, 0.04, 0.02, 9.0, 0.08, 0.12, 5.0, 5.04, 70.0]
    found = [time_s for time_s, _ in forwards((time_s, None) for time_s in times)]
    assert found == [0.0, 0.04, 0.08, 0.12, 5.0, 5.04, 70.0]
