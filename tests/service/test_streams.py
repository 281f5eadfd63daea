"""The parts of a live session by themselves: messages, what waits, how fast, who may connect."""

import asyncio
import json
import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import Problem, ServiceError
from service.live.loop import BURST_S
from service.live.messages import (
    HEADER,
    MAX_TEXT,
    MOST_WAITING,
    Arrival,
    Mailbox,
    Options,
    Reset,
    read_text,
    split_frame,
)
from service.live.model import parse_into
from service.security import Bucket
from service.services import Sockets
from service.telemetry import Metrics
from service.track.session import SocketOptions
from tests.waiting import MOST_S, settle

NOW = 1700000000.25


@pytest.mark.parametrize("start", [b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"BM", b"GIF8", b"", b"S"])
def test_a_bare_message_is_a_picture_at_the_time_of_its_arrival(start):
    assert split_frame(start + b"rest", NOW) == (NOW, start + b"rest")


@given(st.floats(0, 1e10), st.binary(max_size=40))
def test_a_header_gives_the_time_and_leaves_the_picture(time_s, picture):
    message = b"F" + struct.pack("<d", time_s) + picture
    assert split_frame(message, NOW) == (time_s, picture)


@pytest.mark.parametrize("time_s", [math.nan, math.inf, -math.inf, -1e308, -0.1, 1e11])
def test_a_time_that_is_none_is_refused(time_s):
    with pytest.raises(ServiceError, match="the time is"):
        split_frame(HEADER.pack(b"F", time_s) + b"\xff\xd8", NOW)


@pytest.mark.parametrize("length", range(1, 9))
def test_a_header_that_is_cut_short_is_refused(length):
    with pytest.raises(ServiceError, match=f"{length} came"):
        split_frame(HEADER.pack(b"F", 1.0)[:length], NOW)


def test_a_text_asks_for_a_new_start_or_sets_options():
    assert isinstance(read_text('{"type": "reset"}'), Reset)
    asked = read_text('{"type": "options", "max_faces": 2}')
    assert isinstance(asked, Options)
    assert asked.values == {"max_faces": 2}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "reset",
        "[]",
        "1",
        "null",
        '"reset"',
        "{}",
        '{"type": "stop"}',
        '{"type": ["reset"]}',
        '{"type": "reset", "now": true}',
        "[" * MAX_TEXT,
        " " * (MAX_TEXT + 1),
        "NaN",
        "{" + "é" * 9,
    ],
)
def test_any_other_text_is_refused_with_what_would_be_right(text):
    with pytest.raises(ServiceError) as caught:
        read_text(text)
    assert caught.value.problem is Problem.INVALID_REQUEST
    assert len(caught.value.detail) < 300


@given(st.text(max_size=60) | st.recursive(st.none() | st.text(), st.lists).map(json.dumps))
def test_reading_any_text_ends_in_one_of_these(text):
    try:
        asked: object = read_text(text)
    except ServiceError as error:
        asked = error.problem
    assert isinstance(asked, Reset | Options) or asked is Problem.INVALID_REQUEST


def test_options_come_from_an_address_or_from_json():
    assert parse_into(SocketOptions, {"drop": "false", "max_faces": "2"}).max_faces == 2
    assert not parse_into(SocketOptions, {"drop": False}).drop


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"max_faces": "9"}, "max_faces"),
        ({"max_faces": True, "min_face_px": 1}, "min_face_px"),
        ({"smoothing": "maybe"}, "smoothing"),
        ({"variant": "../x"}, "variant"),
        ({"faces": 1}, "faces"),
        ({"type": "x"}, "type"),
    ],
)
def test_an_option_that_does_not_fit_is_named(options, named):
    with pytest.raises(ServiceError, match=f"invalid-request.*{named}"):
        parse_into(SocketOptions, options)


def frame(number: int, **more: bool) -> Arrival:
    return Arrival(number, 0.0, data=b"%d" % number, **more)


async def drain(mailbox: Mailbox) -> list[tuple[int | None, bool]]:
    await mailbox.end()
    found = []
    while await mailbox.first() is not None:
        arrival = await mailbox.take()
        found.append((arrival.sequence, arrival.dropped))
    return found


async def test_the_newest_frame_takes_the_place_of_one_that_waits():
    mailbox = Mailbox(drop=True)
    for number in range(4):
        await mailbox.put(frame(number))
    assert await drain(mailbox) == [(0, True), (1, True), (2, True), (3, False)]


async def test_a_frame_that_was_taken_is_not_replaced_any_more():
    mailbox = Mailbox(drop=True)
    await mailbox.put(frame(0))
    taken = await mailbox.take()
    await mailbox.put(frame(1))
    assert not taken.dropped
    assert await drain(mailbox) == [(1, False)]


async def test_a_frame_that_is_dropped_lets_go_of_its_picture():
    mailbox = Mailbox(drop=True)
    await mailbox.put(frame(0))
    await mailbox.put(frame(1))
    assert (await mailbox.take()).data == b""


async def test_a_new_start_outlives_the_frame_that_it_came_with():
    mailbox = Mailbox(drop=True)
    await mailbox.put(frame(0, reset=True))
    await mailbox.put(frame(1))
    await mailbox.take()
    assert (await mailbox.take()).reset


async def test_a_mistake_replaces_nothing_and_keeps_its_place():
    mailbox = Mailbox(drop=True)
    await mailbox.put(frame(0))
    await mailbox.put(Arrival(1, 0.0, error=ServiceError(Problem.INVALID_REQUEST, "")))
    await mailbox.put(frame(2))
    assert await drain(mailbox) == [(0, True), (1, False), (2, False)]


@pytest.mark.parametrize(("drop", "most"), [(False, 2), (True, MOST_WAITING)])
async def test_a_full_mailbox_makes_the_reader_wait(drop, most):
    mailbox = Mailbox(drop)
    for number in range(most):
        await mailbox.put(frame(number))
    putting = asyncio.create_task(mailbox.put(frame(most)))
    await settle()
    assert not putting.done()
    await mailbox.take()
    await putting
    assert (await drain(mailbox))[-1] == (most, False)


async def test_without_dropping_every_frame_is_kept():
    mailbox = Mailbox(drop=False)
    await mailbox.put(frame(0))
    await mailbox.put(frame(1))
    assert await drain(mailbox) == [(0, False), (1, False)]


def test_a_pace_allows_its_rate_and_a_little_at_once():
    now = [100.0]
    pace = Bucket(40.0, BURST_S, lambda: now[0])
    taken = 0
    while pace.wait_s() == 0:
        pace.take()
        taken += 1
    assert taken == pytest.approx(40 * BURST_S + 1, abs=1)
    for _ in range(400):
        now[0] += pace.wait_s()
        pace.take()
    assert now[0] - 100.0 == pytest.approx(10.0, rel=0.02)


def test_places_are_counted_by_owner_and_given_back():
    sockets = Sockets(2, Metrics())
    with sockets.place("track", "alice"), sockets.place("track", "alice"):
        with sockets.place("track", "bob"):
            pass
        with (
            pytest.raises(ServiceError, match="too-many-sockets"),
            sockets.place("track", "alice"),
        ):
            pass
    with sockets.place("track", "alice"):
        pass


class Stream:
    stopped = False

    def stop(self) -> None:
        self.stopped = True


async def test_stopping_reaches_every_stream_and_waits_for_the_last_socket():
    sockets = Sockets(9, Metrics())
    first, late = Stream(), Stream()
    with sockets.place("track", "alice"):
        with sockets.listed(first.stop):
            stopping = asyncio.create_task(sockets.stop())
            await asyncio.sleep(0)
            assert first.stopped
        with sockets.listed(late.stop):
            assert late.stopped
        with pytest.raises(ServiceError, match="stopping"), sockets.place("track", "bob"):
            pass
        assert not stopping.done()
    await asyncio.wait_for(stopping, MOST_S)
