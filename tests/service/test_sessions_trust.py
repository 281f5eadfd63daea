"""What a client or another user of Redis does to its sessions harms nobody else's and heals."""

import asyncio
import json
from contextlib import AsyncExitStack

import pytest

from service.keys import new_key
from tests.service.counting import CountingTracker, closed, frames, headed, receive, serving, step
from tests.waiting import MOST_S, until

CLIP = frames(4)
KEY = "countenance:track:anonymous:s"
DAMAGES = {
    "a late step of nothing": [("HSET", KEY, "step", 2**53, "state", "", "reply", "")],
    "text": [("DEL", KEY), ("SET", KEY, "text")],
    "another's state": [("HSET", KEY, "state", "x" * 40_000)],
    "100 MB": [("HSET", KEY, "state", "x" * 100_000_000)],
    "a deep reply": [("HSET", KEY, "reply", "[" * 100_000)],
    "no number": [("HSET", KEY, "step", "nan")],
    "an endless time": [("HSET", KEY, "created", "1e999")],
}

each_kind = pytest.mark.parametrize("kind", ["memory", "redis"])
each_damage = pytest.mark.parametrize("commands", DAMAGES.values(), ids=DAMAGES)


@pytest.fixture
def url(kind, request):
    return request.getfixturevalue("redis_server").url if kind == "redis" else None


@pytest.fixture
def two_keys(tmp_path):
    (alice, first), (bob, second) = new_key("alice"), new_key("bob")
    path = tmp_path / "keys.toml"
    path.write_text(first + second)
    return path, *({"Authorization": f"Bearer {key}"} for key in (alice, bob))


@each_kind
async def test_sockets_without_a_frame_leave_nothing_and_take_nobody_s_session(url, two_keys):
    path, alice, bob = two_keys
    options = {
        "api_keys_file": path,
        "max_sessions": 10,
        "redis_url": url,
        "store_timeout_s": MOST_S,
    }
    async with serving(CountingTracker(), **options) as service:
        async with service.open("hers", additional_headers=bob) as socket:
            await step(socket, headed(*CLIP[0]))
        for number in range(20):
            async with service.open(f"none{number}", additional_headers=alice):
                pass
        found = await service.http.get("/sessions/hers", headers=bob)
        assert found.json()["streams"][0]["step"] == 1
        none = await service.http.get("/sessions/none1", headers=alice)
        assert none.status_code == 404


@each_kind
async def test_many_sessions_of_one_principal_push_out_its_own_oldest_alone(url, two_keys):
    path, alice, bob = two_keys
    options = {
        "api_keys_file": path,
        "max_sessions": 10,
        "redis_url": url,
        "store_timeout_s": MOST_S,
    }
    async with serving(CountingTracker(), **options) as service:

        async def post(name, key):
            return await service.http.post(f"/track/{name}", content=CLIP[0][0], headers=key)

        async def steps(name, key):
            found = await service.http.get(f"/sessions/{name}", headers=key)
            return found.json()["streams"][0]["step"] if found.status_code == 200 else None

        await post("hers", bob)
        for number in range(20):
            assert (await post(f"his{number}", alice)).status_code == 200
        assert await steps("hers", bob) == 1
        kept = [await steps(f"his{number}", alice) for number in range(20)]
        assert kept == [None] * 17 + [1] * 3


@each_kind
async def test_two_sockets_opened_before_the_first_frame_are_ordered_by_their_opening(url):
    async with (
        serving(CountingTracker(), redis_url=url, store_timeout_s=MOST_S) as service,
        AsyncExitStack() as stack,
    ):
        older = await stack.enter_async_context(service.open())
        # A socket is accepted before it is known to the store.
        started = 'countenance_sessions_total{event="started",model="track"}'
        await until(lambda: service.metric(started))
        newer = await stack.enter_async_context(service.open())
        assert (await step(older, headed(*CLIP[0])))["step"] == 1
        # The newer one goes on with what the older has begun, and has the session from then on.
        assert (await step(newer, headed(*CLIP[1])))["step"] == 2
        await older.send(headed(*CLIP[2]))
        assert await closed(older) == (4409, "session-taken")


@each_damage
async def test_a_damaged_session_is_reset_with_the_reason_and_never_a_lasting_error(
    redis_server, commands
):
    async with serving(
        CountingTracker(), redis_url=redis_server.url, store_timeout_s=MOST_S
    ) as service:

        async def damage():
            for command in commands:
                await asyncio.to_thread(redis_server.ask, *command)

        await service.post(CLIP[0][0], time_s=0)
        await service.post(CLIP[0][0], time_s=0)
        await damage()
        assert (await service.http.get("/sessions/s")).status_code == 200
        posted = await service.post(CLIP[1][0], time_s=1)
        assert (posted.status_code, posted.json()["status"]) == (200, "reset")
        assert any("starts anew" in note for note in posted.json()["notes"])
        assert (await service.post(CLIP[2][0], time_s=2)).json()["step"] == 2

        await damage()
        async with service.open() as socket:
            first = await step(socket, headed(*CLIP[3]))
            assert first["status"] in ("reset", "tracking")
            assert (await step(socket, headed(CLIP[3][0], 9.0)))["status"] == "tracking"
            await damage()
            await socket.send(headed(CLIP[3][0], 10.0))
            try:
                told = await receive(socket)
                assert told["status"] in ("reset", "tracking", "error")
            except Exception:
                assert await closed(socket) == (4409, "session-taken")
        assert (await service.http.delete("/track/s")).status_code in (204, 404)
        assert json.loads((await service.post(CLIP[0][0], time_s=0)).content)["step"] >= 1


@pytest.mark.parametrize("damage", [("updated", "nan"), ("epoch", "e" * 1000)])
async def test_a_session_of_which_only_the_holder_was_damaged_goes_on(redis_server, damage):
    async with serving(
        CountingTracker(), redis_url=redis_server.url, store_timeout_s=MOST_S
    ) as service:
        for _ in range(2):
            await service.post(CLIP[0][0], time_s=0)
        await asyncio.to_thread(redis_server.ask, "HSET", KEY, *damage)
        for number in (3, 4):
            posted = await service.post(CLIP[1][0], time_s=number)
            assert posted.status_code == 200
            assert posted.json()["status"] in ("tracking", "reset")
