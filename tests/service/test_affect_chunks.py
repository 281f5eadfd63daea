"""POST and DELETE /affect/{session}: sessions of affect without a socket, on any replica."""

import asyncio
import struct
import time

import httpx
import pytest

from service.affect.sounds import to_samples
from service.app import create_app
from service.errors import URN
from service.keys import new_key
from service.media.clips.contents import RATE_HZ
from service.settings import Settings
from tests.service.counting import closed, frames, headed, serving, step
from tests.service.feeling import AFFECT, CountingAffect
from tests.waiting import MOST_S, until

CLIP = frames(6)
PCM = struct.pack("<h", 5) * (RATE_HZ // 10)


@pytest.fixture(params=["memory", "redis"])
async def http(model, request):
    """Return a client of an application on either store."""
    url = request.getfixturevalue("redis_server").url if request.param == "redis" else None
    app = create_app(Settings(redis_url=url, store_timeout_s=MOST_S), model)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client
    await app.state.services.store.close()


def parts(image: bytes | None = None, pcm: bytes | None = None) -> dict:
    """Return a form's files."""
    files = {}
    if image is not None:
        files["frame"] = ("a.jpg", image, "image/jpeg")
    if pcm is not None:
        files["sound"] = ("a.pcm", pcm, "application/octet-stream")
    return files


async def post(http, files, session="s", **query):
    return await http.post(f"/affect/{session}", files=files, params=query)


async def test_chunks_of_frames_and_sound_are_the_steps_of_one_session(http, model):
    replies = []
    for number, (image, _) in enumerate(CLIP):
        reply = await post(http, parts(image, PCM), time_s=(number + 1) / 10)
        replies.append(reply.json())
    assert [reply["step"] for reply in replies] == [1, 2, 3, 4, 5, 6]
    assert [reply["time_s"] for reply in replies] == [(n + 1) / 10 for n in range(6)]
    assert [len(reply["attention"]) for reply in replies] == [1, 2, 3, 4, 5, 6]
    assert {reply["status"] for reply in replies} == {"ok"}
    assert replies[0]["sequence"] is None
    assert replies[0]["used"] == ["face", "voice"]
    assert [start for start, _ in model.heard] == [to_samples(n / 10) for n in range(6)]


async def test_a_frame_may_come_as_the_body_itself(http, model):
    headers = {"Content-Type": "image/jpeg"}
    reply = await http.post("/affect/s", content=CLIP[0][0], headers=headers)
    assert (reply.status_code, reply.json()["used"]) == (200, ["face"])
    assert abs(reply.json()["time_s"] - time.time()) < 5


async def test_sound_alone_is_heard_and_goes_with_the_next_frame(http, model):
    heard = (await post(http, parts(pcm=PCM), sound_time_s=1.0)).json()
    assert (heard["type"], heard["status"], heard["step"]) == ("sound", "ok", 1)
    assert "valence" not in heard
    reply = (await post(http, parts(CLIP[0][0]), time_s=1.1)).json()
    assert (reply["step"], reply["used"]) == (2, ["face", "voice"])
    assert [start for start, _ in model.heard] == [RATE_HZ]


async def test_a_time_without_a_frame_asks_for_an_estimate_from_the_voice(http, model):
    reply = (await post(http, parts(pcm=PCM), time_s=0.1)).json()
    assert (reply["type"], reply["used"], reply["face"]) == ("frame", ["voice"], None)
    assert model.moments == [(0.1, None)]


async def test_a_repeat_of_the_last_step_returns_its_reply_and_steps_nothing(http, model):
    first = await post(http, parts(CLIP[0][0], PCM), time_s=0.1, step=1)
    again = await post(http, parts(CLIP[0][0], PCM), time_s=0.1, step=1)
    assert again.content == first.content
    assert model.steps == 1
    wrong = await post(http, parts(CLIP[1][0]), time_s=0.2, step=5)
    assert (wrong.status_code, wrong.json()["type"]) == (409, URN + "wrong-step")
    assert wrong.json()["step"] == 1


async def test_of_two_chunks_at_once_one_steps_and_the_other_is_told(http, model):
    model.release = asyncio.Event()
    posts = [asyncio.create_task(post(http, parts(CLIP[0][0]), time_s=0.1)) for _ in range(2)]
    await until(lambda: model.steps >= 2)
    model.release.set()
    replies = await asyncio.gather(*posts)
    assert sorted(reply.status_code for reply in replies) == [200, 409]


async def test_a_session_that_is_gone_starts_anew_and_says_so(http):
    reply = (await post(http, parts(CLIP[0][0]), time_s=9.0, step=7)).json()
    assert (reply["status"], reply["step"]) == ("reset", 1)


@pytest.mark.parametrize(
    ("files", "query", "status", "slug"),
    [
        (parts(CLIP[0][0]), {"time_s": 0.5}, 422, "invalid-time"),
        (parts(CLIP[0][0]), {"time_s": -1}, 422, "invalid-request"),
        (parts(CLIP[0][0]), {"time_s": "nan"}, 422, "invalid-request"),
        (parts(CLIP[0][0]), {"time_s": 1e12}, 422, "invalid-time"),
        (parts(CLIP[0][0]), {"rate_hz": 5}, 422, "invalid-request"),
        (parts(CLIP[0][0]), {"min_face_px": 1}, 422, "invalid-request"),
        (parts(pcm=PCM[:-1]), {"sound_time_s": 2}, 422, "invalid-sound"),
        (parts(pcm=PCM * 101), {"sound_time_s": 2}, 422, "invalid-sound"),
        (parts(pcm=b"RIFF" + PCM), {"sound_time_s": 2}, 422, "invalid-sound"),
        (parts(pcm=b""), {}, 422, "empty-body"),
        (parts(CLIP[0][0] + b"CUT"), {"time_s": 2}, 422, "truncated-image"),
        (parts(b"hello"), {"time_s": 2}, 415, "not-an-image"),
        ({"image": ("a.jpg", CLIP[0][0], "image/jpeg")}, {}, 422, "invalid-multipart"),
    ],
)
async def test_a_chunk_that_cannot_be_used_is_refused_and_is_no_step(
    http, files, query, status, slug
):
    await post(http, parts(CLIP[0][0]), time_s=1.0)
    reply = await post(http, files, **query)
    assert (reply.status_code, reply.json()["type"]) == (status, URN + slug)
    after = await post(http, parts(CLIP[1][0]), time_s=2.0)
    assert (after.json()["status"], after.json()["step"]) == ("ok", 2)


async def test_sound_that_is_declared_as_the_body_is_refused_by_name(http):
    reply = await http.post("/affect/s", content=PCM, headers={"Content-Type": "audio/pcm"})
    assert (reply.status_code, reply.json()["type"]) == (415, URN + "unsupported-media-type")
    assert "`frame`" in reply.json()["detail"]


async def test_sockets_and_chunks_may_take_turns_over_replicas(redis_server):
    models = [CountingAffect(), CountingAffect()]
    replies = []
    async with (
        serving(models[0], redis_url=redis_server.url, store_timeout_s=MOST_S) as one,
        serving(models[1], redis_url=redis_server.url, store_timeout_s=MOST_S) as two,
    ):
        one.model = two.model = AFFECT
        for number, (image, _) in enumerate(CLIP):
            service, time_s = (one, two)[number % 2], number / 10
            if number in (2, 3):
                reply = await post(service.http, parts(image), time_s=time_s)
                replies.append(reply.json())
            else:
                async with service.open() as socket:
                    replies.append(await step(socket, headed(image, time_s)))
    alone = await _alone()
    assert [reply["valence"] for reply in replies] == [reply["valence"] for reply in alone]
    assert [reply["step"] for reply in replies] == [1, 2, 3, 4, 5, 6]


async def _alone() -> list[dict]:
    async with serving(CountingAffect()) as service:
        service.model = AFFECT
        async with service.open() as socket:
            return [await step(socket, headed(image, n / 10)) for n, (image, _) in enumerate(CLIP)]


async def test_the_newer_socket_wins_and_a_chunk_takes_the_session(redis_server):
    async with (
        serving(CountingAffect(), redis_url=redis_server.url, store_timeout_s=MOST_S) as one,
        serving(CountingAffect(), redis_url=redis_server.url, store_timeout_s=MOST_S) as two,
    ):
        one.model = two.model = AFFECT
        async with one.open() as older:
            await step(older, headed(CLIP[0][0], 0.0))
            async with two.open() as newer:
                await step(newer, headed(CLIP[1][0], 0.1))
                await older.send(headed(CLIP[2][0], 0.2))
                assert await closed(older) == (4409, "session-taken")
                assert (await post(one.http, parts(CLIP[3][0]), time_s=0.3)).json()["step"] == 3
                await newer.send(headed(CLIP[0][0], 0.4))
                assert await closed(newer) == (4409, "session-taken")


async def test_sessions_belong_to_their_owner(model, tmp_path):
    (alice, one), (bob, two) = new_key("alice"), new_key("bob")
    path = tmp_path / "keys.toml"
    path.write_text(one + two)
    async with serving(model, api_keys_file=path) as service:
        mine, other = ({"Authorization": f"Bearer {key}"} for key in (alice, bob))
        assert (await service.http.post("/affect/s", files=parts(CLIP[0][0]))).status_code == 401
        sent = {"files": parts(CLIP[0][0]), "params": {"time_s": 1.0}}
        for headers in (mine, other):
            reply = await service.http.post("/affect/s", headers=headers, **sent)
            assert reply.json()["step"] == 1
        assert (await service.http.delete("/affect/s", headers=other)).status_code == 204
        found = [
            (await service.http.get("/sessions/s", headers=headers)).status_code
            for headers in (mine, other)
        ]
    assert found == [200, 404]


async def test_neither_pictures_nor_sound_are_kept(http, request, redis_server, model):
    await post(http, parts(CLIP[0][0], PCM), time_s=0.5)
    streams = (await http.get("/sessions/s")).json()["streams"]
    assert streams[0]["state_bytes"] < 100
    for key in redis_server.ask("KEYS", "*"):
        held = b"".join(redis_server.ask("HVALS", key))
        assert b"JFIF" not in held
        assert PCM[:40] not in held
