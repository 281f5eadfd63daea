"""Sound in pieces gives the Mel power of the whole, and its state goes on where it stopped."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.processing.mel import RATE_HZ, mel_power, pcm_to_samples
from handlers.processing.mel_stream import (
    BRIDGED_SAMPLES,
    KEPT_COLUMNS,
    MOST_COLUMNS,
    MelStream,
    column_at,
)

CUTS = st.lists(st.integers(0, 40_000), max_size=12)


def sound(samples: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    tone = 9000 * np.sin(np.arange(samples) ** 1.3 / 40)
    return (tone + 500 * rng.standard_normal(samples)).astype(np.int16)


WHOLE = sound(40_000)
EXPECTED = mel_power(pcm_to_samples(WHOLE)).T


def hear(pcm: np.ndarray, cuts: list[int], start: int = 0) -> MelStream:
    """Push a signal in pieces that end at the cuts."""
    stream = MelStream()
    edges = [0, *sorted(cut for cut in cuts if cut < len(pcm)), len(pcm)]
    for low, high in zip(edges, edges[1:], strict=False):
        stream = stream.push(pcm[low:high], start + low)
    return stream


@given(CUTS)
@settings(max_examples=40, deadline=None)
def test_every_complete_column_equals_that_of_the_whole_signal(cuts: list[int]) -> None:
    stream = hear(WHOLE, cuts)
    assert stream.next == (len(WHOLE) - 1024) // 512 + 1
    assert stream.heard.all()
    np.testing.assert_allclose(stream.power, EXPECTED[: stream.next], rtol=1e-4, atol=1e-6)


@given(st.integers(1, 6000), st.integers(0, 6000))
@settings(max_examples=40, deadline=None)
def test_a_column_once_complete_never_changes(first: int, more: int) -> None:
    before = MelStream().push(WHOLE[:first], 0)
    after = before.push(WHOLE[first : first + more], first)
    np.testing.assert_array_equal(after.power[: len(before.power)], before.power)
    assert after.end == first + more


@given(CUTS, st.integers(0, 3000))
@settings(max_examples=25, deadline=None)
def test_what_is_heard_twice_counts_once(cuts: list[int], back: int) -> None:
    stream = MelStream()
    edges = [0, *sorted(cuts), len(WHOLE)]
    for low, high in zip(edges, edges[1:], strict=False):
        low = max(0, low - back)
        stream = stream.push(WHOLE[low:high], low)
    np.testing.assert_allclose(stream.power, EXPECTED[: stream.next], rtol=1e-4, atol=1e-6)
    assert stream.end == len(WHOLE)


@given(st.integers(0, 9000), st.integers(BRIDGED_SAMPLES + 1, 9000), CUTS)
@settings(max_examples=40, deadline=None)
def test_columns_that_touch_a_gap_are_not_heard_and_all_others_are_right(
    begin: int, length: int, cuts: list[int]
) -> None:
    stream = hear(WHOLE[:begin], cuts)
    for low, high in [(begin + length, begin + length + 300), (begin + length + 300, 40_000)]:
        stream = stream.push(WHOLE[low:high], low)
    for column, heard in enumerate(stream.heard):
        low, high = column * 512 - 1024, column * 512 + 1024
        assert heard == (high <= begin or low >= begin + length)
        expected = EXPECTED[column] if heard else np.zeros(128)
        np.testing.assert_allclose(stream.power[column], expected, rtol=1e-4, atol=1e-6)


def test_a_hole_of_rounded_times_is_bridged_nearly_without_a_trace() -> None:
    stream = MelStream()
    smooth = (8000 * np.sin(np.arange(20_000) / 50)).astype(np.int16)
    for low in range(0, 20_000, 1000):
        stream = stream.push(smooth[low : low + 980], low)
    expected = mel_power(pcm_to_samples(smooth)).T[: stream.next]
    loud = expected > expected.max() / 100
    assert stream.heard.all()
    np.testing.assert_allclose(stream.power[loud], expected[loud], rtol=0.2)


def test_sound_before_time_zero_is_dropped() -> None:
    stream = MelStream().push(np.concatenate([sound(700, 1), WHOLE]), -700)
    np.testing.assert_allclose(stream.power, EXPECTED[: stream.next], rtol=1e-4, atol=1e-6)
    assert MelStream().push(WHOLE[:700], -700).end == 0


@pytest.mark.parametrize("time_s", [0.0, 0.3, 0.9, 1.7, 5.0])
def test_the_window_is_centred_on_its_time_and_empty_where_nothing_is_heard(time_s: float) -> None:
    power, heard = hear(WHOLE, []).window(time_s)
    centre = round(time_s * RATE_HZ / 512)
    columns = np.arange(centre - 64, centre + 64)
    there = (columns >= 0) & (columns * 512 + 1024 <= len(WHOLE))
    np.testing.assert_array_equal(heard, there)
    np.testing.assert_allclose(power[:, there], EXPECTED[columns[there]].T, rtol=1e-4, atol=1e-6)
    assert not power[:, ~there].any()


@given(CUTS, st.integers(0, 40_000))
@settings(max_examples=30, deadline=None)
def test_a_stored_stream_goes_on_as_if_it_had_run_through(cuts: list[int], stop: int) -> None:
    before = hear(WHOLE[:stop], cuts)
    resumed = MelStream.from_tensors(before.to_tensors()).push(WHOLE[stop:], stop)
    through = before.push(WHOLE[stop:], stop)
    assert (resumed.first, resumed.next, resumed.end) == (0, through.next, through.end)
    np.testing.assert_array_equal(resumed.heard, through.heard)
    new = len(before.heard)
    np.testing.assert_array_equal(resumed.power[new:], through.power[new:])
    np.testing.assert_allclose(resumed.power, through.power, rtol=2e-3, atol=1e-8)


def test_half_precision_costs_less_than_a_hundredth_of_a_decibel_of_what_can_be_seen() -> None:
    loudest = np.where(np.arange(20_000) // 25 % 2, 32_767, -32_768).astype(np.int16)
    for pcm in (loudest, loudest // 100, WHOLE):
        stream = hear(pcm, [])
        stored = MelStream.from_tensors(stream.to_tensors())
        seen = stream.power > 1e-5
        ratio = stored.power[seen] / stream.power[seen]
        assert np.isfinite(stored.power).all()
        assert np.abs(10 * np.log10(ratio)).max() < 0.01


def test_a_full_state_is_at_most_60_kib() -> None:
    stream = MelStream()
    for second in range(30):
        stream = stream.push(sound(RATE_HZ + 170, second), second * RATE_HZ).forget_before(second)
    tensors = stream.to_tensors()
    assert len(stream.heard) <= KEPT_COLUMNS
    assert sum(tensor.nbytes for tensor in tensors.values()) <= 60 * 1024


def test_forgetting_changes_no_window_at_that_time_or_later() -> None:
    pcm = sound(5 * RATE_HZ)
    stream = hear(pcm, [30_000])
    shorter = stream.forget_before(2.5)
    assert len(shorter.heard) < len(stream.heard)
    for time_s in (2.5, 2.51, 3.0, 4.9, 7.0):
        for full, short in zip(stream.window(time_s), shorter.window(time_s), strict=True):
            np.testing.assert_array_equal(full, short)
    again = shorter.push(pcm, 5 * RATE_HZ)
    np.testing.assert_array_equal(again.power[-40:], stream.push(pcm, 5 * RATE_HZ).power[-40:])


def test_forgetting_what_has_not_been_heard_yet_leaves_later_columns_in_place() -> None:
    stream = hear(WHOLE[:10_000], []).forget_before(60.0)
    assert len(stream.heard) == 0
    stream = stream.push(WHOLE[10_000:], 10_000)
    np.testing.assert_allclose(
        stream.power, EXPECTED[stream.first : stream.next], rtol=1e-4, atol=1e-6
    )


def test_neither_a_gap_of_days_nor_an_hour_of_sound_grows_the_stream() -> None:
    far = 3 * 86_400 * RATE_HZ
    stream = MelStream().push(WHOLE, 0).push(WHOLE, far)
    assert len(stream.heard) <= MOST_COLUMNS
    time_s = (far + 20_000) / RATE_HZ
    power, heard = stream.window(time_s)
    assert heard.sum() == stream.next - -(-(far + 1024) // 512)
    assert power[:, heard].all()
    for minute in range(3):
        pcm = np.zeros(60 * RATE_HZ, np.int16)
        stream = stream.push(pcm, stream.end)
        assert len(stream.heard) <= MOST_COLUMNS, minute


def test_earlier_streams_stay_as_they_were() -> None:
    before = MelStream().push(WHOLE[:8000], 0)
    kept = before.power.copy()
    before.push(sound(8000, 5), 8000)
    before.push(sound(8000, 6), 12_000)
    np.testing.assert_array_equal(before.power, kept)
    assert before.end == 8000


def test_tensors_of_another_making_are_refused() -> None:
    tensors = hear(WHOLE, []).to_tensors()
    with pytest.raises(KeyError):
        MelStream.from_tensors({"mel_root": tensors["mel_root"]})
    with pytest.raises(ValueError, match="columns"):
        MelStream.from_tensors({**tensors, "mel_heard": tensors["mel_heard"][1:]})


def test_a_time_has_the_column_next_to_it() -> None:
    assert [column_at(t) for t in (0.0, 512 / RATE_HZ, 1.0, -0.01)] == [0, 1, 43, 0]
