"""A live socket that is sent frames faster than they can be looked at."""

import asyncio

import pytest

from tests.service.counting import box, expected_boxes, frames, headed, receive, serving, step
from tests.waiting import MOST_S


@pytest.fixture
async def service(tracker):
    async with serving(tracker) as service:
        yield service


async def test_the_newest_frame_wins_and_the_others_are_answered_dropped(service, tracker):
    clip = frames(6)
    tracker.gate = asyncio.Event()
    async with service.open() as socket:
        await socket.send(headed(*clip[0]))
        await asyncio.wait_for(tracker.asked.wait(), MOST_S)
        for frame in clip[1:]:
            await socket.send(headed(*frame))
        await socket.send("nonsense")
        await service.read(frames=6)
        tracker.gate.set()
        replies = [await receive(socket) for _ in range(7)]
    statuses = [reply["status"] for reply in replies]
    assert statuses == ["tracking", *["dropped"] * 4, "tracking", "error"]
    assert [reply["sequence"] for reply in replies] == [0, 1, 2, 3, 4, 5, None]
    assert replies[3]["time_s"] == clip[3][1]
    assert box(replies[5]) == expected_boxes([clip[0], clip[5]])[1]


async def test_without_dropping_every_frame_is_looked_at_in_order(service, tracker):
    clip = frames(40)
    tracker.delay_s = 0.002
    async with service.open(query="?drop=false") as socket:
        for frame in clip:
            await socket.send(headed(*frame))
        replies = [await receive(socket) for _ in clip]
    assert [box(reply) for reply in replies] == expected_boxes(clip)


async def test_without_dropping_a_fast_client_is_held_back_by_the_connection(service, tracker):
    """Not the service's memory but the client waits: it cannot send what nobody has room for."""
    tracker.gate = asyncio.Event()
    large = frames(1)[0][0] + bytes(1_000_000)
    async with service.open(query="?drop=false") as socket:
        sending = asyncio.create_task(_send_all(socket, [large] * 24))
        await asyncio.sleep(0.5)  # no event tells that nothing goes on
        assert not sending.done()
        tracker.gate.set()
        await asyncio.wait_for(sending, MOST_S)
        replies = [await receive(socket) for _ in range(24)]
    assert [reply["step"] for reply in replies] == list(range(1, 25))


async def _send_all(socket, messages):
    for message in messages:
        await socket.send(message)


async def test_a_thousand_messages_at_once_get_a_thousand_replies_in_order(service, tracker):
    clip = frames(1)[0][0]
    tracker.delay_s = 0.01
    async with service.open() as socket:
        sending = asyncio.create_task(_send_all(socket, [clip] * 1000))
        replies = [await receive(socket) for _ in range(1000)]
        await sending
        last = await step(socket, clip)
    assert [reply["sequence"] for reply in replies] == list(range(1000))
    assert {reply["status"] for reply in replies} == {"tracking", "dropped"}
    assert last["step"] == 2 + sum(reply["status"] == "tracking" for reply in replies) - 1
