"""Sound by its times: in order, without repeats and jitter, bounded, whatever comes."""

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.affect.sounds import (
    JITTER,
    MOST_HELD_S,
    MOST_PIECES,
    MOST_RUNS,
    SoundQueue,
    StreamClock,
    kind_of,
    split_message,
    to_samples,
)
from service.errors import Problem, ServiceError
from service.live.messages import Kind
from service.media.clips.contents import RATE_HZ, Sound

ALL = 2**40


def piece(start: int, length: int) -> Sound:
    """Return sound whose samples tell their places, as far as 15 bits go."""
    return Sound(
        start, struct.pack(f"<{length}h", *(n % 2**15 for n in range(start, start + length)))
    )


def places(sound: Sound) -> list[int]:
    return list(struct.unpack(f"<{len(sound.pcm) // 2}h", sound.pcm))


@given(st.lists(st.tuples(st.integers(0, 20_000), st.integers(1, 3000)), max_size=12))
def test_every_sample_is_heard_once_at_its_place_whatever_the_order(pieces):
    """Pieces that are apart by no more than jitter are not told apart: none of these here."""
    queue = SoundQueue()
    spread = [(start // 1000 * 1000, length // 1000 * 1000 + 1000) for start, length in pieces]
    for start, length in spread:
        queue.put(piece(start, length))
    heard: list[int] = []
    while runs := queue.take(ALL).runs:
        for run in runs:
            assert places(run) == list(range(run.start, run.end))
            heard.extend(range(run.start, run.end))
    expected = {n for start, length in spread for n in range(start, start + length)}
    assert heard == sorted(expected)
    assert queue.held_s == 0


def test_what_lies_beyond_is_left_for_later():
    queue = SoundQueue()
    queue.put(piece(0, 1000))
    queue.put(piece(1000, 1000))
    (first,), (later,) = queue.take(1500).runs, queue.take(ALL).runs
    assert (first.end, later.start, later.end) == (1500, 1500, 2000)


@given(st.integers(1, 6000), st.integers(0, 3))
def test_what_is_given_back_is_there_again(until, repeats):
    queue, other = SoundQueue(), SoundQueue()
    for start in (0, 1000, 4000):
        queue.put(piece(start, 1500))
        other.put(piece(start, 1500))
    for _ in range(repeats):
        queue.give_back(queue.take(until))
    assert queue.take(ALL).runs == other.take(ALL).runs


def test_sound_that_comes_while_other_sound_is_heard_is_not_lost():
    queue = SoundQueue()
    assert queue.take(5000).runs == ()
    queue.put(piece(0, 1000))
    assert [run.end for run in queue.take(ALL).runs] == [1000]


def test_sound_from_before_what_was_heard_is_too_late():
    queue = SoundQueue()
    queue.put(piece(5000, 1000))
    queue.take(ALL)
    queue.put(piece(2000, 1000))
    queue.put(piece(5500, 1000))
    assert [(run.start, run.end) for run in queue.take(ALL).runs] == [(6000, 6500)]
    assert queue.held_s == 0


@given(st.lists(st.integers(-200, 200), min_size=1, max_size=40))
def test_jitter_is_taken_out_and_does_not_add_up(errors):
    queue, end = SoundQueue(), 0
    for number, error in enumerate(errors):
        queue.put(Sound(max(0, 2000 * number + error), bytes(4000)))
        (run,) = queue.take(ALL).runs
        assert number == 0 or run.start == end
        end = run.end
        assert abs(end - 2000 * (number + 1)) <= JITTER


def test_gaps_are_heard_a_few_at_a_time():
    queue = SoundQueue()
    for number in range(10):
        queue.put(piece(number * 5000, 100))
    counts = []
    while runs := queue.take(ALL).runs:
        counts.append(len(runs))
    assert counts == [MOST_RUNS, MOST_RUNS, 10 - 2 * MOST_RUNS]


def test_the_oldest_makes_room_and_is_counted():
    queue = SoundQueue()
    for number in range(20):
        queue.put(Sound(number * RATE_HZ, bytes(2 * RATE_HZ)))
    assert queue.held_s == MOST_HELD_S
    assert queue.lost_s == 20 - MOST_HELD_S
    assert queue.take(ALL).runs[0].start == to_samples(20 - MOST_HELD_S)


def test_many_small_pieces_are_bounded_too():
    queue = SoundQueue()
    for number in range(MOST_PIECES + 50):
        queue.put(piece(number, 1))
    assert queue.held_s * RATE_HZ == pytest.approx(MOST_PIECES)


@given(st.binary(max_size=40))
def test_reading_any_message_ends_in_its_parts_or_in_a_problem(message):
    found: object
    try:
        time_s, rest = split_message(message)
        found = message[:1] + struct.pack("<d", time_s) + rest
    except ServiceError as error:
        found = error.problem
    assert found in (message, Problem.INVALID_REQUEST, Problem.INVALID_TIME)
    if found == message:
        assert kind_of(message) in (Kind.FRAME, Kind.SOUND)
        assert math.isfinite(time_s)


def test_a_stream_that_was_silent_for_long_is_not_early_afterwards():
    clock = StreamClock()
    clock.note_frame(1.0, arrived_s=100.0)
    with pytest.raises(ServiceError, match="ahead of the stream"):
        clock.check_sound(piece(to_samples(31.0), 10), arrived_s=105.0)
    clock.check_sound(piece(to_samples(31.0), 10), arrived_s=130.0)


def test_the_first_sound_of_a_stream_may_be_at_any_time():
    StreamClock().check_sound(piece(to_samples(5000.0), 10), arrived_s=0.0)
