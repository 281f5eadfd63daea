"""Which live sockets are refused, and who is told what when one ends."""

import asyncio

import pytest

from service.errors import URN
from tests.service.counting import (
    box,
    closed,
    expected_boxes,
    frames,
    headed,
    receive,
    serving,
    step,
)
from tests.waiting import MOST_S, until


@pytest.fixture
async def service(tracker):
    async with serving(tracker) as service:
        yield service


async def test_of_two_sockets_the_newer_wins_and_the_older_is_told(service):
    clip = frames(4)
    async with service.open() as older:
        first = await step(older, headed(*clip[0]))
        async with service.open() as newer:
            second = await step(newer, headed(*clip[1]))
            told = await step(older, headed(*clip[2]))
            assert (told["status"], told["error"]["type"]) == ("error", URN + "session-taken")
            assert await closed(older) == (4409, "session-taken")
            third = await step(newer, headed(*clip[3]))
    seen = [clip[0], clip[1], clip[3]]
    assert [box(reply) for reply in (first, second, third)] == expected_boxes(seen)


async def test_a_socket_whose_session_was_ended_is_told(service):
    async with service.open() as socket:
        await step(socket, frames(1)[0][0])
        assert (await service.http.delete("/track/s")).status_code == 204
        await step(socket, frames(1)[0][0])
        assert await closed(socket) == (4409, "session-taken")
    assert (await service.http.get("/sessions/s")).status_code == 404


async def test_a_client_that_leaves_in_the_middle_of_a_step_disturbs_nobody(service, tracker):
    tracker.gate = asyncio.Event()
    async with service.open() as socket:
        await socket.send(frames(1)[0][0])
        await asyncio.wait_for(tracker.asked.wait(), MOST_S)
    tracker.gate.set()
    async with service.open("other") as socket:
        assert (await step(socket, frames(1)[0][0]))["step"] == 1
    assert await service.metric('countenance_sockets{model="track"}') == 0


async def test_a_model_that_is_not_loaded_closes_the_socket_at_once(tracker):
    tracker.models = ("align",)
    async with serving(tracker) as service:
        async with service.open() as socket:
            assert await closed(socket) == (1013, "unavailable")
        reply = await service.post(frames(1)[0][0])
    assert (reply.status_code, reply.json()["type"]) == (503, URN + "unavailable")
    assert reply.headers["retry-after"]
    assert reply.json()["detail"] == "the model track is not loaded"


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("s%20x", "a session's name"),
        ("%C3%A9", "a session's name"),
        ("x" * 129, "a session's name"),
        ("s?max_faces=0", "max_faces: Input should be greater"),
        ("s?min_quality=nan", "min_quality: Input should be a finite number"),
        ("s?nothing=1", "nothing: this is no option here; options are max_faces, min_face_px,"),
        ("s?variant=crt-9", "variant is 'crt-9'; known are crt, dcrt"),
        ("s?max_faces=1&max_faces=2", "query.max_faces: given 2 times"),
    ],
)
async def test_an_address_that_does_not_fit_is_told_and_is_a_close_code(service, path, named):
    async with service.open(path) as socket:
        reply = await receive(socket)
        assert await closed(socket) == (4422, "invalid-request")
    assert (reply["type"], reply["of"], reply["sequence"]) == ("error", "address", None)
    assert reply["error"]["type"] == URN + "invalid-request"
    assert named in reply["error"]["detail"]


@pytest.mark.parametrize("path", ["../nothing", "a/b"])
async def test_a_socket_elsewhere_is_refused(service, path):
    async with service.open(path) as socket:
        assert "/track/NAME" in (await receive(socket))["error"]["detail"]
        assert await closed(socket) == (4404, "not-found")


async def test_a_stop_answers_what_was_read_and_then_closes_with_1012(tracker):
    clip = frames(3)
    tracker.gate = asyncio.Event()
    async with serving(tracker) as service, service.open() as socket, service.open("idle") as idle:
        await socket.send(headed(*clip[0]))
        await asyncio.wait_for(tracker.asked.wait(), MOST_S)
        for frame in clip[1:]:
            await socket.send(headed(*frame))
        await service.read(frames=3)
        service.server.should_exit = True
        await until(lambda: all(stream._stopping for stream in service.streams))
        tracker.gate.set()
        replies = [await receive(socket) for _ in clip]
        assert [reply["status"] for reply in replies] == ["tracking", "dropped", "tracking"]
        assert await closed(socket) == (1012, "stopping")
        assert await closed(idle) == (1012, "stopping")
