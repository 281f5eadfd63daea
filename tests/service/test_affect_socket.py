"""The live affect socket over a real connection: frames and sound by time, one reply a frame."""

import asyncio
import json
import struct

import pytest

from service.errors import URN
from service.streams.sounds import RATE_HZ, to_samples
from tests.service.counting import closed, frames, headed, receive, serving, step
from tests.service.feeling import AFFECT, CountingAffect

RESET = '{"type": "reset"}'
CLIP = frames(8)


def sound(time_s: float, seconds: float = 0.1, value: int = 7) -> bytes:
    """Return the message of some PCM from a time on."""
    pcm = struct.pack("<h", value) * round(seconds * RATE_HZ)
    return struct.pack("<cd", b"S", time_s) + pcm


def tick(time_s: float) -> bytes:
    """Return the message of a moment without a picture."""
    return struct.pack("<cd", b"F", time_s)


@pytest.fixture
def model() -> CountingAffect:
    return CountingAffect()


@pytest.fixture
async def service(model):
    async with serving(model) as service:
        service.model = AFFECT
        yield service


def heard_samples(model: CountingAffect) -> int:
    return sum(len(pcm) // 2 for _, pcm in model.heard)


async def test_every_frame_gets_one_reply_with_its_estimate(service):
    async with service.open() as socket:
        replies = [await step(socket, headed(*frame)) for frame in CLIP[:3]]
    first = replies[0]
    assert [reply["seq"] for reply in replies] == [0, 1, 2]
    assert [reply["step"] for reply in replies] == [1, 2, 3]
    assert [reply["time_s"] for reply in replies] == [time_s for _, time_s in CLIP[:3]]
    assert {(reply["type"], reply["status"], reply["stored"]) for reply in replies} == {
        ("frame", "ok", True)
    }
    assert (first["used"], first["gate"], first["variant"]) == (["face"], 1.0, "avi-gas")
    assert first["face"]["box"] == [10.0, 8.0, 30.0, 32.0]
    assert len(replies[2]["attention"]) == len(replies[2]["attention_ages_s"]) == 3
    assert first["milliseconds"] > 0
    assert {"affect", "wait", "store"} <= first["timings_ms"].keys()
    assert first["model"]["name"] == AFFECT


async def test_sound_has_no_reply_and_goes_with_the_next_frame(service, model):
    async with service.open() as socket:
        await socket.send(sound(0.0))
        await socket.send(sound(0.1))
        reply = await step(socket, headed(CLIP[0][0], 0.15))
    assert (reply["seq"], reply["used"], reply["gate"]) == (0, ["face", "voice"], 0.5)
    assert [(start, len(pcm)) for start, pcm in model.heard] == [(0, 2 * to_samples(0.2))]


async def test_sound_that_comes_while_a_step_runs_goes_with_the_next_one(service, model):
    model.release = asyncio.Event()
    async with service.open() as socket:
        await socket.send(headed(CLIP[0][0], 0.0))
        await asyncio.wait_for(model.asked.wait(), 5)
        for number in range(5):
            await socket.send(sound(number / 10))
        await asyncio.sleep(0.1)
        model.release.set()
        assert (await receive(socket))["used"] == ["face"]
        assert (await step(socket, headed(CLIP[1][0], 0.5)))["used"] == ["face", "voice"]
    assert [start for start, _ in model.heard] == [0]
    assert heard_samples(model) == 5 * to_samples(0.1)


async def test_a_moment_without_a_picture_is_estimated_from_the_voice(service, model):
    async with service.open() as socket:
        await socket.send(sound(0.0, 0.5))
        reply = await step(socket, tick(0.4))
        silent = await step(socket, tick(9.0))
    assert (reply["status"], reply["used"], reply["face"]) == ("ok", ["voice"], None)
    assert (silent["used"], silent["valence"]) == ([], None)
    assert [frame for _, frame in model.moments] == [None, None]


async def test_sound_ahead_of_its_frames_waits_for_them(service, model):
    async with service.open() as socket:
        await step(socket, headed(CLIP[0][0], 0.0))
        for number in range(20):
            await socket.send(sound(number / 10))
        await step(socket, headed(CLIP[1][0], 0.04))
        assert heard_samples(model) == to_samples(0.04 + 1.55)
        await step(socket, headed(CLIP[2][0], 1.0))
    assert heard_samples(model) == 20 * to_samples(0.1)
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
    assert heard_samples(model) == 5 * to_samples(0.1)


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


@pytest.mark.parametrize("time_s", [1.0, 0.96, 0.0])
async def test_times_that_do_not_increase_are_an_error_of_the_frame(service, time_s):
    async with service.open() as socket:
        await step(socket, headed(CLIP[0][0], 1.0))
        reply = await step(socket, headed(CLIP[1][0], time_s))
        after = await step(socket, headed(CLIP[2][0], 1.04))
    assert (reply["type"], reply["seq"], reply["status"]) == ("frame", 1, "error")
    assert reply["error"]["type"] == URN + "invalid-time"
    assert "increase" in reply["error"]["detail"]
    assert (after["seq"], after["status"], after["step"]) == (2, "ok", 2)


@pytest.mark.parametrize(
    ("message", "of", "slug", "named"),
    [
        (sound(0.0)[:-1], "sound", "invalid-sound", "2 bytes"),
        (sound(0.0)[:9], "sound", "invalid-sound", "no samples"),
        (sound(0.0, 10.1), "sound", "invalid-sound", "10 s"),
        (struct.pack("<cd", b"S", 0.0) + b"RIFF\0\0\0\0WAVE", "sound", "invalid-sound", "WAV"),
        (b"S", "sound", "invalid-request", "9 bytes"),
        (b"S" + bytes(7), "sound", "invalid-request", "8 came"),
        (sound(float("nan")), "sound", "invalid-time", "seconds from 0"),
        (sound(-1.0), "sound", "invalid-time", "seconds from 0"),
        (b"", "message", "invalid-request", "found nothing"),
        (b"X" + bytes(20), "message", "invalid-request", "`F`"),
        (CLIP[0][0], "message", "invalid-request", "`S`"),
        ("hello", "text", "invalid-request", "reset"),
        ('{"type": "options", "min_face_px": 1}', "text", "invalid-request", "min_face_px"),
    ],
)
async def test_a_message_that_cannot_be_used_names_its_rule(service, message, of, slug, named):
    async with service.open() as socket:
        reply = await step(socket, message)
        after = await step(socket, headed(*CLIP[0]))
    assert (reply["type"], reply["of"], reply["error"]["type"]) == ("error", of, URN + slug)
    assert named in reply["error"]["detail"]
    assert (after["seq"], after["status"], after["step"]) == (0, "ok", 1)


@pytest.mark.parametrize(
    ("message", "slug"),
    [
        (b"F", "invalid-request"),
        (b"F" + bytes(7), "invalid-request"),
        (tick(float("inf")), "invalid-time"),
        (tick(-0.1), "invalid-time"),
        (tick(2e10), "invalid-time"),
        (tick(5.0) + b"hello", "not-an-image"),
        (tick(5.0) + CLIP[0][0] + b"CUT", "truncated-image"),
        (tick(5.0) + bytes(2 * 2**20), "body-too-large"),
    ],
)
async def test_a_frame_that_cannot_be_used_is_answered_and_spoils_nothing(
    service, model, message, slug
):
    async with service.open() as socket:
        await socket.send(sound(4.5, 0.3))
        reply = await step(socket, message)
        after = await step(socket, headed(CLIP[0][0], 5.1))
    assert (reply["type"], reply["seq"], reply["status"]) == ("frame", 0, "error")
    assert reply["error"]["type"] == URN + slug
    assert (after["seq"], after["step"], after["used"]) == (1, 1, ["face", "voice"])


async def test_the_newest_frame_wins_and_sound_is_never_dropped(service, model):
    model.release = asyncio.Event()
    async with service.open() as socket:
        await socket.send(headed(CLIP[0][0], 0.0))
        await asyncio.wait_for(model.asked.wait(), 5)
        for number in range(1, 6):
            await socket.send(sound(number / 10 - 0.1))
            await socket.send(headed(CLIP[number][0], number / 10))
        await asyncio.sleep(0.2)
        model.release.set()
        replies = [await receive(socket) for _ in range(6)]
    assert [reply["status"] for reply in replies] == ["ok", *["dropped"] * 4, "ok"]
    assert [reply["seq"] for reply in replies] == list(range(6))
    assert replies[2]["time_s"] == 0.2
    assert heard_samples(model) == 5 * to_samples(0.1)


async def test_without_dropping_every_frame_is_answered_in_order(service, model):
    async with service.open(query="?drop=false") as socket:
        for number, (image, time_s) in enumerate(CLIP):
            await socket.send(sound(number * 0.04, 0.04))
            await socket.send(headed(image, time_s))
        replies = [await receive(socket) for _ in CLIP]
    assert [reply["status"] for reply in replies] == ["ok"] * len(CLIP)
    assert [time_s for time_s, _ in model.moments] == [time_s for _, time_s in CLIP]


async def test_sound_without_frames_is_heard_from_time_to_time(service, model):
    async with service.open() as socket:
        for number in range(70):
            await socket.send(sound(number / 10))
        async with asyncio.timeout(5):
            while heard_samples(model) < to_samples(2):
                await asyncio.sleep(0.01)
        assert model.last.inputs["frames"] == []
        reply = await step(socket, headed(CLIP[0][0], 7.0))
    assert reply["seq"] == 0
    assert reply["step"] >= 2
    assert heard_samples(model) == 70 * to_samples(0.1)


async def test_sound_that_waits_too_long_makes_room_and_the_reply_says_so(service, model):
    """Nothing is looked at for a while: what comes before the first frame is not early."""
    model.release = asyncio.Event()
    async with service.open() as socket:
        for number in range(180):
            await socket.send(sound(number / 10))
        await asyncio.wait_for(model.asked.wait(), 5)
        await asyncio.sleep(1.0)
        model.release.set()
        reply = await step(socket, headed(CLIP[1][0], 18.0))
    (note,) = reply["notes"]
    assert note.endswith("s of sound waited too long and were not heard")
    assert heard_samples(model) + to_samples(float(note.split()[0])) == 180 * to_samples(0.1)


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
    assert last["seq"] == 1
    assert 20 <= len(told) <= 100
    assert all("ahead of the stream" in reply["error"]["detail"] for reply in told)
    assert told[-1]["time_s"] == 11.9


async def test_options_of_the_address_and_of_a_text_reach_the_model(service, model):
    async with service.open(query="?variant=vi-des&min_face_px=60") as socket:
        await socket.send('{"type": "options", "min_face_px": 80}')
        await step(socket, headed(*CLIP[0]))
    assert model.last.options == {
        "variant": "vi-des",
        "min_face_px": 80,
        "max_pixels": 8_300_000,
    }


async def test_reset_starts_anew_with_new_times_and_without_old_sound(service, model):
    async with service.open() as socket:
        await step(socket, headed(CLIP[0][0], 9.0))
        await socket.send(sound(9.0))
        await socket.send(RESET)
        await socket.send(sound(0.0))
        after = await step(socket, headed(CLIP[1][0], 0.1))
    assert (after["status"], after["step"], after["seq"]) == ("reset", 2, 1)
    assert len(after["attention"]) == 1
    assert [start for start, _ in model.heard] == [0]


async def test_a_state_of_another_model_version_starts_anew_and_says_so(service, model):
    async with service.open() as socket:
        await step(socket, headed(*CLIP[0]))
        model.magic = b"aff2"
        after = await step(socket, headed(*CLIP[1]))
    assert (after["status"], after["step"], len(after["attention"])) == ("reset", 2, 1)


async def test_a_session_of_track_is_none_of_affect(service):
    async with service.open() as socket:
        await step(socket, headed(*CLIP[0]))
    assert (await service.http.delete("/track/s")).status_code == 404
    streams = (await service.http.get("/sessions/s")).json()["streams"]
    assert [stream["model"] for stream in streams] == [AFFECT]
    assert (await service.http.delete("/affect/s")).status_code == 204
    assert (await service.http.get("/sessions/s")).status_code == 404


async def test_a_model_that_is_not_loaded_closes_the_socket_and_says_what_is_missing(model):
    model.models = ("align", "track")
    model.absent = {AFFECT: "the model store has no folder avi-gas"}
    async with serving(model) as service:
        service.model = AFFECT
        async with service.open() as socket:
            assert await closed(socket) == (1013, "unavailable")
        reply = await service.http.post("/affect/s", content=CLIP[0][0])
        ready = await service.http.get("/health/ready")
    assert (ready.status_code, ready.json()["absent"]) == (200, model.absent)
    assert (reply.status_code, reply.json()["type"]) == (503, URN + "unavailable")
    assert "no folder avi-gas" in reply.json()["detail"]


async def test_gates_and_voices_are_measured(service):
    async with service.open() as socket:
        await socket.send(sound(0.0))
        await step(socket, headed(CLIP[0][0], 0.1))
        await step(socket, headed(CLIP[1][0], 5.0))
    labels = '{model="affect"}'
    assert await service.metric("countenance_gate_count" + labels) == 2
    assert await service.metric("countenance_gate_sum" + labels) == 1.5
    assert await service.metric("countenance_voiced_frames_total" + labels) == 1
    assert await service.metric('countenance_frames_total{model="affect",status="ok"}') == 2
    stages = 'countenance_stage_seconds_count{model="affect",stage="affect"}'
    assert await service.metric(stages) == 2


async def test_replies_are_json_objects_without_nan(service):
    async with service.open() as socket:
        await socket.send(tick(0.0))
        text = await asyncio.wait_for(socket.recv(), 5)
    assert json.loads(text, parse_constant=pytest.fail)["used"] == []
