"""Estimates that wait for what is heard after their frames: still one a frame, and in order."""

import asyncio
import struct
import time

import httpx
import pytest
from websockets.asyncio.client import ClientConnection

from service.affect.sounds import to_samples
from service.app import create_app
from service.live.messages import MOST_BYTES, MOST_HELD, Arrival, Held, Mailbox
from service.media.clips.contents import RATE_HZ
from service.settings import Settings
from tests.service.counting import closed, frames, headed, receive, serving
from tests.service.feeling import AFFECT, CountingAffect

CLIP = frames(12)
RESET = '{"type": "reset"}'


def sound(time_s: float, seconds: float) -> bytes:
    """Return the message of some PCM from a time on."""
    return struct.pack("<cd", b"S", time_s) + struct.pack("<h", 7) * round(seconds * RATE_HZ)


@pytest.fixture
def model() -> CountingAffect:
    return CountingAffect()


@pytest.fixture
async def service(model):
    async with serving(model, socket_idle_s=0.5) as service:
        service.model = AFFECT
        yield service


async def nothing_comes(socket: ClientConnection) -> bool:
    """Whether no reply comes for a while."""
    try:
        await asyncio.wait_for(socket.recv(), 0.1)
    except TimeoutError:
        return True
    return False


async def test_a_frame_is_estimated_when_sound_of_the_delay_later_has_come(service, model):
    async with service.open(query="?delay_s=0.5") as socket:
        await socket.send(headed(CLIP[0][0], 0.2))
        await socket.send(sound(0.0, 0.6))
        assert await nothing_comes(socket)
        await socket.send(sound(0.6, 0.1))
        reply = await receive(socket)
    assert (reply["sequence"], reply["status"], reply["time_s"]) == (0, "ok", 0.2)
    assert sum(len(pcm) // 2 for _, pcm in model.heard) == to_samples(0.7)


async def test_without_sound_later_frames_tell_that_the_time_has_come(service):
    async with service.open(query="?delay_s=0.5") as socket:
        for number in range(3):
            await socket.send(headed(CLIP[number][0], 0.2 * number))
        assert await nothing_comes(socket)
        await socket.send(headed(CLIP[3][0], 0.7))
        replies = [await receive(socket), await receive(socket)]
        assert await nothing_comes(socket)
    assert [reply["time_s"] for reply in replies] == [0.0, 0.2]


async def test_frames_that_come_due_together_are_all_estimated_in_order(service):
    async with service.open(query="?delay_s=0.5") as socket:
        for number, (image, time_s) in enumerate(CLIP):
            await socket.send(headed(image, time_s))
            if number == 5:
                await socket.send(headed(CLIP[0][0], 0.0))
        await socket.send(sound(0.0, 1.0))
        replies = [await receive(socket) for _ in range(len(CLIP) + 1)]
    assert [reply["sequence"] for reply in replies] == list(range(13))
    assert [reply["status"] for reply in replies] == ["ok"] * 6 + ["error"] + ["ok"] * 6


async def test_a_reset_answers_what_was_held_back_first(service, model):
    async with service.open(query="?delay_s=1.5") as socket:
        for image, time_s in CLIP[:3]:
            await socket.send(headed(image, time_s))
        await socket.send(RESET)
        replies = [await receive(socket) for _ in range(3)]
        await socket.send(headed(CLIP[3][0], 0.0))
        await socket.send(headed(CLIP[4][0], 1.5))
        replies.append(await receive(socket))
    assert [reply["status"] for reply in replies] == ["ok", "ok", "ok", "reset"]
    assert [time_s for time_s, _ in model.moments] == [0.0, 0.04, 0.08, 0.0]


async def test_the_end_of_the_stream_answers_what_was_held_back(service):
    async with service.open(query="?delay_s=1") as socket:
        for image, time_s in CLIP[:4]:
            await socket.send(headed(image, time_s))
        replies = [await receive(socket) for _ in range(4)]
        assert [reply["status"] for reply in replies] == ["ok"] * 4
        assert await closed(socket) == (4408, "idle")


async def test_a_stopping_service_answers_what_was_held_back(model):
    async with serving(model) as service:
        service.model = AFFECT
        async with service.open(query="?delay_s=1") as socket:
            for image, time_s in CLIP[:4]:
                await socket.send(headed(image, time_s))
            await nothing_comes(socket)
            service.server.should_exit = True
            assert [(await receive(socket))["status"] for _ in range(4)] == ["ok"] * 4
            assert (await closed(socket))[0] == 1012


@pytest.mark.parametrize("delay", ["1.6", "-0.1", "nan"])
async def test_a_delay_beyond_what_is_heard_is_refused(service, delay):
    async with service.open(query=f"?delay_s={delay}") as socket:
        assert (await closed(socket))[0] == 4422


async def test_a_chunk_that_is_sent_later_says_so(model):
    app = create_app(Settings(), model)
    transport = httpx.ASGITransport(app)
    pcm = struct.pack("<h", 5) * (RATE_HZ // 10)
    files = {"frame": ("a.jpg", CLIP[0][0], "image/jpeg"), "sound": ("a.pcm", pcm)}
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        query = {"time_s": 2.0, "delay_s": 1.0}
        told = (await http.post("/affect/s", files=files, params=query)).json()
        untold = (await http.post("/affect/t", files=files, params={"delay_s": 1.0})).json()
    assert told["time_s"] == 2.0
    assert model.heard[0][0] == to_samples(3.0 - 0.1)
    assert untold["time_s"] == pytest.approx(time.time() - 1.0, abs=0.5)


def test_no_more_is_held_than_has_room() -> None:
    held = Held()
    for number in range(MOST_HELD + 1):
        held.put(Arrival(number, 0.0, time_s=1.0))
    assert [one.sequence for one in held.take(0.0)] == [0]
    held.put(Arrival(101, 0.0, time_s=1.0, data=bytes(MOST_BYTES)))
    assert len(held.take(0.0)) == 1
    held.put(Arrival(102, 0.0, time_s=1.0, data=b"more"))
    assert [one.sequence for one in held.take(0.0)] == list(range(2, 102))
    assert [one.sequence for one in held.take(1.0)] == [102]


async def test_frames_put_together_give_way_together() -> None:
    mailbox = Mailbox(drop=True)
    older = [Arrival(number, 0.0, reset=number == 1) for number in range(3)]
    await mailbox.put(*older)
    await mailbox.take()
    newer = Arrival(3, 0.0)
    await mailbox.put(newer)
    assert [one.dropped for one in older] == [False, True, True]
    assert newer.reset
