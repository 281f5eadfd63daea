"""Sound on the live affect socket: heard once, in order, with the frame it belongs to, or told."""

import asyncio
import struct

import pytest

from service.affect.sounds import to_samples
from service.errors import URN
from tests.service.affect_messages import sound
from tests.service.counting import frames, headed, receive, serving, step
from tests.service.feeling import AFFECT
from tests.waiting import MOST_S, until

CLIP = frames(8)


@pytest.fixture
async def service(model):
    async with serving(model) as service:
        service.model = AFFECT
        yield service


async def test_sound_has_no_reply_and_goes_with_the_next_frame(service, model):
    async with service.open() as socket:
        await socket.send(sound(0.0))
        await socket.send(sound(0.1))
        reply = await step(socket, headed(CLIP[0][0], 0.15))
    assert (reply["sequence"], reply["used"], reply["gate"]) == (0, ["face", "voice"], 0.5)
    assert [(start, len(pcm)) for start, pcm in model.heard] == [(0, 2 * to_samples(0.2))]


async def test_sound_that_comes_while_a_step_runs_goes_with_the_next_one(service, model):
    model.release = asyncio.Event()
    async with service.open() as socket:
        await socket.send(headed(CLIP[0][0], 0.0))
        await asyncio.wait_for(model.asked.wait(), MOST_S)
        for number in range(5):
            await socket.send(sound(number / 10))
        await service.read(frames=1, until_s=0.5)
        model.release.set()
        assert (await receive(socket))["used"] == ["face"]
        assert (await step(socket, headed(CLIP[1][0], 0.5)))["used"] == ["face", "voice"]
    assert [start for start, _ in model.heard] == [0]
    assert model.heard_samples == 5 * to_samples(0.1)


async def test_sound_ahead_of_its_frames_waits_for_them(service, model):
    async with service.open() as socket:
        await step(socket, headed(CLIP[0][0], 0.0))
        for number in range(20):
            await socket.send(sound(number / 10))
        await step(socket, headed(CLIP[1][0], 0.04))
        assert model.heard_samples == to_samples(0.04 + 1.55)
        await step(socket, headed(CLIP[2][0], 1.0))
    assert model.heard_samples == 20 * to_samples(0.1)
    assert b"".join(pcm for _, pcm in model.heard) == struct.pack("<h", 7) * 44_100


async def test_late_sound_is_put_in_order_and_repeated_sound_is_left_out(service, model):
    async with service.open() as socket:
        await socket.send(sound(0.2, 0.1, 3))
        await socket.send(sound(0.0, 0.1, 1))
        await socket.send(sound(0.05, 0.15, 2))
        await step(socket, headed(CLIP[0][0], 0.3))
    ((start, pcm),) = model.heard
    expected = [(1, 0.1), (2, 0.1), (3, 0.1)]
    assert start == 0
    assert pcm == b"".join(struct.pack("<h", value) * to_samples(s) for value, s in expected)


async def test_a_gap_in_the_sound_stays_a_gap(service, model):
    async with service.open() as socket:
        await socket.send(sound(0.0))
        await socket.send(sound(0.5))
        reply = await step(socket, headed(CLIP[0][0], 0.6))
        after = await step(socket, headed(CLIP[1][0], 0.7))
    assert [start for start, _ in model.heard] == [0, to_samples(0.5)]
    assert (reply["step"], after["step"]) == (1, 2)


async def test_jitter_of_the_clock_makes_neither_gaps_nor_repeats(service, model):
    jitter = [0.0, 0.004, -0.006, 0.009, -0.01]
    async with service.open() as socket:
        for number, error_s in enumerate(jitter):
            await socket.send(sound(max(0.0, number / 10 + error_s)))
            await step(socket, headed(CLIP[number][0], 0.02 + number / 10))
    assert [start for start, _ in model.heard] == [to_samples(0.1) * n for n in range(5)]
    assert model.heard_samples == 5 * to_samples(0.1)


@pytest.mark.parametrize(
    ("time_s", "told"), [(0.5, "behind the newest frame"), (8.5, "ahead of the stream")]
)
async def test_sound_more_than_two_seconds_away_is_told_and_not_heard(service, model, time_s, told):
    async with service.open() as socket:
        await step(socket, headed(CLIP[0][0], 3.0))
        reply = await step(socket, sound(time_s, 0.1))
        after = await step(socket, headed(CLIP[1][0], 3.1))
    assert (reply["type"], reply["of"], reply["time_s"]) == ("error", "sound", time_s)
    assert reply["error"]["type"] == URN + "invalid-time"
    assert told in reply["error"]["detail"]
    assert "2 s" in reply["error"]["detail"]
    assert (after["status"], after["step"], model.heard) == ("ok", 2, [])


@pytest.mark.parametrize("time_s", [1.05, 4.8])
async def test_sound_up_to_two_seconds_away_is_heard(service, model, time_s):
    async with service.open() as socket:
        await step(socket, headed(CLIP[0][0], 3.0))
        await socket.send(sound(time_s))
        await step(socket, headed(CLIP[1][0], 5.0))
    assert [start for start, _ in model.heard] == [to_samples(time_s)]


async def test_the_newest_frame_wins_and_sound_is_never_dropped(service, model):
    model.release = asyncio.Event()
    async with service.open() as socket:
        await socket.send(headed(CLIP[0][0], 0.0))
        await asyncio.wait_for(model.asked.wait(), MOST_S)
        for number in range(1, 6):
            await socket.send(sound(number / 10 - 0.1))
            await socket.send(headed(CLIP[number][0], number / 10))
        await service.read(frames=6)
        model.release.set()
        replies = [await receive(socket) for _ in range(6)]
    assert [reply["status"] for reply in replies] == ["ok", *["dropped"] * 4, "ok"]
    assert [reply["sequence"] for reply in replies] == list(range(6))
    assert replies[2]["time_s"] == 0.2
    assert model.heard_samples == 5 * to_samples(0.1)


async def test_sound_without_frames_is_heard_from_time_to_time(service, model):
    async with service.open() as socket:
        for number in range(70):
            await socket.send(sound(number / 10))
        await until(lambda: model.heard_samples >= to_samples(2))
        assert model.last.inputs["frames"] == []
        reply = await step(socket, headed(CLIP[0][0], 7.0))
    assert reply["sequence"] == 0
    assert reply["step"] >= 2
    assert model.heard_samples == 70 * to_samples(0.1)


async def test_sound_that_waits_too_long_makes_room_and_the_reply_says_so(service, model):
    """Nothing is looked at for a while: what comes before the first frame is not early."""
    model.release = asyncio.Event()
    async with service.open() as socket:
        for number in range(45):
            await socket.send(sound(number / 10))
        await model.asked.wait()
        for number in range(45, 180):
            await socket.send(sound(number / 10))
        await service.read(until_s=18.0)
        model.release.set()
        reply = await step(socket, headed(CLIP[1][0], 18.0))
    (note,) = reply["notes"]
    assert note.endswith("s of sound waited too long and were not heard")
    assert model.heard_samples + to_samples(float(note.split()[0])) == 180 * to_samples(0.1)


async def test_sound_that_runs_away_from_its_frames_is_told(service, model):
    async with service.open() as socket:
        await step(socket, headed(CLIP[0][0], 0.0))
        for number in range(120):
            await socket.send(sound(number / 10))
        await socket.send(headed(CLIP[1][0], 12.0))
        replies = [await receive(socket)]
        while replies[-1]["type"] == "error":
            replies.append(await receive(socket))
    *told, last = replies
    assert last["sequence"] == 1
    assert 20 <= len(told) <= 100
    assert all("ahead of the stream" in reply["error"]["detail"] for reply in told)
    assert told[-1]["time_s"] == 11.9
