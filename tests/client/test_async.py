"""Promises of the client for asyncio, against a real server."""

import asyncio

from service.align.interface import ALIGN_REPLY
from service.client import AsyncCountenance
from service.live.messages import DroppedReply
from service.schemas import AlignReply
from tests.client.conftest import RunningService
from tests.service.counting import expected_boxes, frames


async def camera(clip):
    for frame in clip:
        await asyncio.sleep(0)
        yield frame


async def test_calls_of_one_client_may_run_side_by_side(service: RunningService) -> None:
    image = frames(1)[0][0]
    async with AsyncCountenance(service.url) as client:
        replies = await asyncio.gather(*(client.align(image) for _ in range(4)))
    assert replies == [AlignReply.model_validate(ALIGN_REPLY)] * 4


async def test_frames_may_come_from_an_asynchronous_source(service: RunningService) -> None:
    clip = frames(5)
    async with AsyncCountenance(service.url) as client, client.track_live("s") as session:
        replies = [reply async for reply in session.follow(camera(clip))]
    assert [list(reply.faces[0].box) for reply in replies] == expected_boxes(clip)


async def test_no_more_frames_are_under_way_than_was_said(service: RunningService) -> None:
    service.models.delay_s = 0.05
    async with AsyncCountenance(service.url) as client, client.track_live("s", ahead=1) as session:
        for frame in frames(3):
            await session.send(*frame)
            assert session.unanswered == 1
        assert [reply.step async for reply in session] == [1, 2, 3]


async def test_a_camera_may_ask_to_have_late_frames_dropped(service: RunningService) -> None:
    service.models.delay_s = 0.1
    client = AsyncCountenance(service.url)
    async with client, client.track_live("s", drop=True, ahead=6) as session:
        replies = [reply async for reply in session.follow(frames(6))]
    assert len(replies) == 6
    assert any(isinstance(reply, DroppedReply) for reply in replies)
    assert not isinstance(replies[-1], DroppedReply)
