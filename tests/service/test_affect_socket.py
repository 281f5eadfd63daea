"""The live affect socket over a real connection: one reply a frame, whatever a message holds."""

import asyncio
import json
import struct

import pytest

from service.errors import URN
from tests.service.affect_messages import sound, tick
from tests.service.counting import closed, frames, headed, receive, serving, step
from tests.service.feeling import AFFECT
from tests.waiting import MOST_S

RESET = '{"type": "reset"}'
CLIP = frames(8)


@pytest.fixture
async def service(model):
    async with serving(model) as service:
        service.model = AFFECT
        yield service


async def test_every_frame_gets_one_reply_with_its_estimate(service):
    async with service.open() as socket:
        replies = [await step(socket, headed(*frame)) for frame in CLIP[:3]]
    first = replies[0]
    assert [reply["sequence"] for reply in replies] == [0, 1, 2]
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


async def test_a_moment_without_a_picture_is_estimated_from_the_voice(service, model):
    async with service.open() as socket:
        await socket.send(sound(0.0, 0.5))
        reply = await step(socket, tick(0.4))
        silent = await step(socket, tick(9.0))
    assert (reply["status"], reply["used"], reply["face"]) == ("ok", ["voice"], None)
    assert (silent["used"], silent["valence"]) == ([], None)
    assert [frame for _, frame in model.moments] == [None, None]


@pytest.mark.parametrize("time_s", [1.0, 0.96, 0.0])
async def test_times_that_do_not_increase_are_an_error_of_the_frame(service, time_s):
    async with service.open() as socket:
        await step(socket, headed(CLIP[0][0], 1.0))
        reply = await step(socket, headed(CLIP[1][0], time_s))
        after = await step(socket, headed(CLIP[2][0], 1.04))
    assert (reply["of"], reply["sequence"], reply["status"]) == ("frame", 1, "error")
    assert reply["error"]["type"] == URN + "invalid-time"
    assert "increase" in reply["error"]["detail"]
    assert (after["sequence"], after["status"], after["step"]) == (2, "ok", 2)


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
    assert (after["sequence"], after["status"], after["step"]) == (0, "ok", 1)


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
    assert (reply["of"], reply["sequence"], reply["status"]) == ("frame", 0, "error")
    assert reply["error"]["type"] == URN + slug
    assert (after["sequence"], after["step"], after["used"]) == (1, 1, ["face", "voice"])


async def test_without_dropping_every_frame_is_answered_in_order(service, model):
    async with service.open(query="?drop=false") as socket:
        for number, (image, time_s) in enumerate(CLIP):
            await socket.send(sound(number * 0.04, 0.04))
            await socket.send(headed(image, time_s))
        replies = [await receive(socket) for _ in CLIP]
    assert [reply["status"] for reply in replies] == ["ok"] * len(CLIP)
    assert [time_s for time_s, _ in model.moments] == [time_s for _, time_s in CLIP]


async def test_options_of_the_address_and_of_a_text_reach_the_model(service, model):
    async with service.open(query="?variant=vi-des&min_face_px=60") as socket:
        await socket.send('{"type": "options", "min_face_px": 80}')
        await step(socket, headed(*CLIP[0]))
    assert model.last.options == {
        "variant": "vi-des",
        "min_face_px": 80,
        "max_faces": 1,
        "min_quality": 0.15,
        "smoothing_s": 0.25,
        "max_pixels": 8_300_000,
    }


async def test_reset_starts_anew_with_new_times_and_without_old_sound(service, model):
    async with service.open() as socket:
        await step(socket, headed(CLIP[0][0], 9.0))
        await socket.send(sound(9.0))
        await socket.send(RESET)
        await socket.send(sound(0.0))
        after = await step(socket, headed(CLIP[1][0], 0.1))
    assert (after["status"], after["step"], after["sequence"]) == ("reset", 2, 1)
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
        text = await asyncio.wait_for(socket.recv(), MOST_S)
    assert json.loads(text, parse_constant=pytest.fail)["used"] == []
