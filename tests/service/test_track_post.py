"""POST and DELETE /track/{session}, GET /sessions/{session}: sessions without a socket."""

import asyncio
from datetime import datetime

import httpx
import pytest

from service.app import create_app
from service.errors import URN
from service.settings import Settings
from tests.service.counting import box, expected_boxes, frames
from tests.waiting import MOST_S

CLIP = frames(6)
PICTURE = CLIP[0][0]


@pytest.fixture(params=["memory", "redis"])
async def http(tracker, request):
    """Return a client of an application on either store."""
    url = request.getfixturevalue("redis_server").url if request.param == "redis" else None
    app = create_app(Settings(redis_url=url, store_timeout_s=MOST_S), tracker)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client
    await app.state.services.store.close()


async def post(http, frame, session="s", **query):
    image, time_s = frame
    return await http.post(f"/track/{session}", content=image, params={"time_s": time_s, **query})


async def test_posted_frames_are_the_steps_of_one_session(http):
    replies = [(await post(http, frame)).json() for frame in CLIP]
    assert [box(reply) for reply in replies] == expected_boxes(CLIP)
    assert [reply["step"] for reply in replies] == [1, 2, 3, 4, 5, 6]
    assert [reply["time_s"] for reply in replies] == [time_s for _, time_s in CLIP]
    assert replies[0]["sequence"] is None
    assert replies[0]["stored"]


async def test_a_frame_may_come_as_a_form_and_without_its_time(http):
    files = {"image": ("a.jpg", PICTURE, "image/jpeg")}
    assert (await http.post("/track/s", files=files)).json()["step"] == 1


async def test_a_repeat_of_the_last_step_returns_its_reply_and_steps_nothing(http, tracker):
    first = [await post(http, frame, step=n) for n, frame in enumerate(CLIP[:3], start=1)]
    again = await post(http, CLIP[2], step=3)
    assert again.content == first[2].content
    assert tracker.steps == 3
    next_one = await post(http, CLIP[3], step=4)
    assert box(next_one.json()) == expected_boxes(CLIP)[3]


@pytest.mark.parametrize("step", [1, 2, 5, 99])
async def test_any_other_step_is_refused_and_the_current_one_named(http, tracker, step):
    for frame in CLIP[:3]:
        await post(http, frame)
    reply = await post(http, CLIP[3], step=step)
    assert (reply.status_code, reply.json()["type"]) == (409, URN + "wrong-step")
    assert reply.json()["step"] == 3
    assert tracker.steps == 3


async def test_a_session_that_is_gone_starts_anew_and_says_so(http):
    reply = await post(http, CLIP[0], step=7)
    assert reply.status_code == 200
    assert (reply.json()["status"], reply.json()["step"]) == ("reset", 1)
    assert (await post(http, CLIP[1], step=2)).json()["status"] == "tracking"


async def test_of_two_posts_at_once_one_steps_and_the_other_is_told(http, tracker):
    tracker.delay_s = 0.05
    replies = await asyncio.gather(*(post(http, CLIP[0]) for _ in range(2)))
    assert sorted(reply.status_code for reply in replies) == [200, 409]
    (refused,) = (reply.json() for reply in replies if reply.status_code == 409)
    assert refused["type"] == URN + "session-taken"
    assert (await post(http, CLIP[1])).json()["step"] == 2


async def test_a_post_that_is_sent_twice_at_once_steps_once(http, tracker):
    tracker.delay_s = 0.05
    replies = await asyncio.gather(*(post(http, CLIP[0], step=1) for _ in range(4)))
    assert {reply.status_code for reply in replies} == {200}
    assert len({reply.content for reply in replies}) == 1
    assert (await http.get("/sessions/s")).json()["streams"][0]["step"] == 1


async def test_a_frame_that_is_refused_is_no_step(http):
    await post(http, CLIP[0])
    assert (await post(http, (b"hello", 0.0))).status_code == 415
    assert (await post(http, (CLIP[1][0] + b"CUT", 0.0))).status_code == 422
    second = (await post(http, CLIP[1])).json()
    assert (second["step"], box(second)) == (2, expected_boxes(CLIP)[1])


@pytest.mark.parametrize(
    "query",
    [
        {"step": "0"},
        {"step": "x"},
        {"time_s": "nan"},
        {"time_s": "inf"},
        {"max_faces": "9"},
        {"drop": "true"},
        {"unknown": "1"},
    ],
)
async def test_a_query_that_does_not_fit_is_refused(http, tracker, query):
    reply = await http.post("/track/s", content=PICTURE, params=query)
    assert (reply.status_code, reply.json()["type"]) == (422, URN + "invalid-request")
    assert tracker.steps == 0


@pytest.mark.parametrize("name", ["a b", "a:b", "x" * 129, "é"])
async def test_a_name_that_does_not_fit_is_refused(http, name):
    assert (await http.post(f"/track/{name}", content=PICTURE)).status_code == 422
    assert (await http.get(f"/sessions/{name}")).status_code == 422
    assert (await http.delete(f"/track/{name}")).status_code == 422


async def test_a_session_that_is_deleted_is_gone(http):
    await post(http, CLIP[0])
    assert (await http.delete("/track/s")).status_code == 204
    assert (await http.get("/sessions/s")).status_code == 404
    gone = await http.delete("/track/s")
    assert (gone.status_code, gone.json()["type"]) == (404, URN + "not-found")
    assert (await post(http, CLIP[1])).json()["step"] == 1


async def test_what_is_kept_of_a_session_can_be_asked(http):
    for frame in CLIP[:3]:
        await post(http, frame, session="camera-1")
    reply = (await http.get("/sessions/camera-1")).json()
    (stream,) = reply["streams"]
    assert (reply["session"], stream["model"], stream["step"]) == ("camera-1", "track", 3)
    created, updated, expires = (
        datetime.fromisoformat(stream[name]) for name in ("created", "updated", "expires")
    )
    assert created < updated
    assert (expires - updated).total_seconds() == 900
    assert 0 < stream["state_bytes"] < 100


async def test_nothing_of_a_picture_reaches_redis(tracker, redis_server):
    app = create_app(Settings(redis_url=redis_server.url, store_timeout_s=MOST_S), tracker)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        await post(http, CLIP[0])
    await app.state.services.store.close()
    (key,) = redis_server.ask("KEYS", "*")
    held = b"".join(redis_server.ask("HVALS", key))
    assert PICTURE[100:140] not in held
    assert b"JFIF" not in held


@pytest.mark.parametrize(("declared", "told"), [("image/webp", 1), ("image/jpeg", 0)])
async def test_a_wrong_media_type_is_told_with_the_reply(http, declared, told):
    reply = await http.post("/track/s", content=PICTURE, headers={"Content-Type": declared})
    notes = [note for note in reply.json()["notes"] if "declared as" in note]
    assert len(notes) == told
    files = {"image": ("a", PICTURE, declared)}
    reply = await http.post("/track/s", files=files)
    assert len([note for note in reply.json()["notes"] if "declared as" in note]) == told
