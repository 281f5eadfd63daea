"""Redis paused, killed, restarted empty, full: what live sessions and requests then do."""

import statistics
import time
from functools import partial

import numpy as np
import pytest

from service.errors import URN
from service.live.hold import Hold
from tests.service.counting import (
    CountingTracker,
    box,
    closed,
    expected_boxes,
    frames,
    headed,
    serving,
    step,
)
from tests.service.redis_server import RedisServer
from tests.waiting import until

CLIP = frames(12)
KEY = "countenance:track:anonymous:s"
STORE_S = 1.0  # far longer than a step


@pytest.fixture
def own_redis():
    """Return a Redis that a test may stop."""
    server = RedisServer()
    yield server
    server.close()


async def send(socket, numbers) -> list[dict]:
    return [await step(socket, headed(*CLIP[n])) for n in numbers]


async def until_stored(socket, number: int) -> dict:
    """Send one and the same frame until its state is stored again."""
    replies: list[dict] = []

    async def is_stored() -> bool:
        replies.append(await step(socket, headed(*CLIP[number])))
        return bool(replies[-1]["stored"])

    await until(is_stored)
    return replies[-1]


async def test_a_socket_bridges_a_killed_redis_from_its_own_memory_and_says_so(tracker, own_redis):
    async with serving(tracker, redis_url=own_redis.url) as service, service.open() as socket:
        before = await send(socket, range(3))
        own_redis.kill()
        during = await send(socket, range(3, 6))
    assert [box(reply) for reply in before + during] == expected_boxes(CLIP[:6])
    assert [reply["stored"] for reply in before + during] == [True] * 3 + [False] * 3
    assert [reply["step"] for reply in during] == [4, 5, 6]


async def test_a_redis_that_comes_back_empty_resets_the_session(tracker, own_redis):
    async with serving(tracker, redis_url=own_redis.url) as service, service.open() as socket:
        await send(socket, range(3))
        own_redis.kill()
        await send(socket, range(3, 5))
        own_redis.start()
        (first, second) = await send(socket, (5, 6))
    assert (first["status"], first["step"], first["stored"]) == ("reset", 1, True)
    assert (second["status"], second["step"], second["stored"]) == ("tracking", 2, True)
    assert [box(first), box(second)] == expected_boxes(CLIP[5:7])


async def test_a_redis_that_was_restarted_between_two_frames_resets_the_session(tracker, own_redis):
    async with serving(tracker, redis_url=own_redis.url) as service:
        async with service.open() as socket:
            await send(socket, range(2))
            own_redis.kill()
            own_redis.start()
            (reply,) = await send(socket, [2])
            assert (reply["status"], reply["step"], reply["stored"]) == ("reset", 1, True)
        posted = await service.post(CLIP[3][0], step=2, time_s=CLIP[3][1])
        assert (posted.json()["step"], posted.json()["status"]) == (2, "tracking")


async def test_a_session_that_redis_has_evicted_resets(tracker, redis_server):
    async with serving(tracker, redis_url=redis_server.url) as service, service.open() as socket:
        await send(socket, range(2))
        redis_server.ask("DEL", KEY)
        (reply, after) = await send(socket, (2, 3))
        assert (reply["status"], after["status"]) == ("reset", "tracking")
        redis_server.ask("DEL", KEY)
        posted = (await service.post(CLIP[4][0], step=3)).json()
        assert (posted["status"], posted["step"]) == ("reset", 1)


async def test_a_paused_redis_is_bridged_and_then_written_over_what_was_known(tracker, own_redis):
    """Writes whose answers were lost may have happened all the same: they are the socket's own."""
    options = {"redis_url": own_redis.url, "store_timeout_s": 0.2}
    async with serving(tracker, **options) as service, service.open() as socket:
        await send(socket, range(2))
        with own_redis.paused():
            during = await send(socket, range(2, 5))
        after = await until_stored(socket, 5)
        (last,) = await send(socket, [6])
    assert [reply["stored"] for reply in during] == [False] * 3
    seen = [*CLIP[:5], *[CLIP[5]] * (after["step"] - 5), CLIP[6]]
    assert [box(after), box(last)] == expected_boxes(seen)[-2:]
    assert last["stored"]
    assert int(own_redis.ask("HGET", KEY, "step")) == last["step"]


async def test_a_redis_that_stands_still_delays_few_frames_only(tracker, own_redis):
    options = {"redis_url": own_redis.url, "store_timeout_s": STORE_S, "max_frames_per_s": 1000}
    async with serving(tracker, **options) as service, service.open() as socket:
        await send(socket, [0])
        with own_redis.paused():
            replies, times = [], [time.monotonic()]
            for _ in range(20):
                replies.append(await step(socket, CLIP[1][0]))
                times.append(time.monotonic())
        assert not any(reply["stored"] for reply in replies)
        assert statistics.median(np.diff(times)) < STORE_S
        assert (await until_stored(socket, 2))["status"] == "tracking"


async def test_after_an_outage_a_newer_connection_keeps_the_session(tracker, own_redis):
    async with (
        serving(tracker, redis_url=own_redis.url, store_timeout_s=0.2) as service,
        serving(CountingTracker(), redis_url=own_redis.url) as elsewhere,
        service.open() as older,
    ):
        await send(older, range(2))
        with own_redis.paused():
            assert not (await send(older, [2]))[0]["stored"]
        async with elsewhere.open() as newer:
            (reply,) = await send(newer, [3])
            # Steps go on in this connection's memory until Redis is asked again.
            told: list[dict] = []

            async def is_refused() -> bool:
                told.append(await step(older, CLIP[4][0]))
                return told[-1]["status"] == "error"

            await until(is_refused)
            assert told[-1]["error"]["type"] == URN + "session-taken"
            assert await closed(older) == (4409, "session-taken")
            assert (await send(newer, [5]))[0]["step"] == reply["step"] + 1


async def test_an_outage_that_lasts_is_answered_once_more_and_then_closes_with_1013(
    tracker, own_redis, monkeypatch
):
    now = [0.0]
    monkeypatch.setattr("service.live.serving.Hold", partial(Hold, clock=lambda: now[0]))
    options = {"redis_url": own_redis.url, "store_outage_s": 0.3}
    async with serving(tracker, **options) as service, service.open() as socket:
        await send(socket, range(2))
        own_redis.kill()
        assert not (await send(socket, [2]))[0]["stored"]
        now[0] += 0.4
        (last,) = await send(socket, [3])
        assert (last["step"], last["stored"]) == (4, False)
        assert await closed(socket) == (1013, "store-unavailable")


async def test_an_outage_that_may_not_be_bridged_closes_after_the_step_in_flight(
    tracker, own_redis
):
    options = {"redis_url": own_redis.url, "store_outage_s": 0}
    async with serving(tracker, **options) as service, service.open() as socket:
        await send(socket, [0])
        own_redis.kill()
        assert (await send(socket, [1]))[0]["step"] == 2
        assert await closed(socket) == (1013, "store-unavailable")


async def test_without_redis_requests_are_told_to_return_and_the_service_is_not_ready(
    tracker, own_redis
):
    async with serving(tracker, redis_url=own_redis.url) as service:
        ready = await service.http.get("/health/ready")
        assert ready.json()["store"] == {"kind": "redis", "ready": True, "reason": None}
        own_redis.kill()
        for reply in (
            await service.post(CLIP[0][0]),
            await service.http.get("/sessions/s"),
            await service.http.delete("/track/s"),
        ):
            assert (reply.status_code, reply.json()["type"]) == (503, URN + "store-unavailable")
            assert int(reply.headers["retry-after"]) >= 1
        async with service.open() as socket:
            assert await closed(socket) == (1013, "store-unavailable")
        ready = await service.http.get("/health/ready")
        assert ready.status_code == 503
        assert ready.json()["store"]["reason"] == "no connection"
        assert ready.json()["models"] == ["align", "track"]
        assert (await service.http.get("/health/live")).status_code == 200
        failed = 'countenance_store_seconds_count{operation="connect",outcome="failed"}'
        assert await service.metric(failed) == 1
        own_redis.start()
        assert (await service.http.get("/health/ready")).status_code == 200
        assert (await service.post(CLIP[0][0])).json()["step"] == 1


async def test_the_service_starts_without_redis_and_uses_it_once_it_is_there(tracker, own_redis):
    own_redis.kill()
    async with serving(tracker, redis_url=own_redis.url) as service:
        assert (await service.http.get("/health/ready")).status_code == 503
        own_redis.start()
        assert (await service.post(CLIP[0][0])).status_code == 200


async def test_a_full_redis_is_an_outage_and_not_an_error(tracker, own_redis):
    async with serving(tracker, redis_url=own_redis.url) as service, service.open() as socket:
        await send(socket, range(2))
        own_redis.ask("CONFIG", "SET", "maxmemory", "1")
        (reply,) = await send(socket, [2])
        assert (reply["status"], reply["stored"]) == ("tracking", False)
        posted = await service.post(CLIP[3][0], session="other")
        assert (posted.status_code, posted.json()["type"]) == (503, URN + "store-unavailable")
        assert "full" in posted.json()["detail"]
        assert (await service.http.delete("/track/nothing")).status_code == 404
        own_redis.ask("CONFIG", "SET", "maxmemory", "0")
        (after,) = await send(socket, [3])
        assert (box(after), after["stored"]) == (expected_boxes(CLIP[:4])[3], True)


async def test_a_full_redis_can_still_end_sessions(tracker, own_redis):
    async with serving(tracker, redis_url=own_redis.url) as service:
        await service.post(CLIP[0][0])
        own_redis.ask("CONFIG", "SET", "maxmemory", "1")
        assert (await service.http.delete("/track/s")).status_code == 204
        assert (await service.http.get("/sessions/s")).status_code == 404


async def test_a_redis_that_evicts_what_it_likes_never_causes_an_error(tracker, own_redis):
    used = int(own_redis.ask("INFO", "memory")["used_memory"])
    own_redis.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-random")
    async with serving(tracker, redis_url=own_redis.url) as service:
        await service.post(CLIP[0][0])
        own_redis.ask("CONFIG", "SET", "maxmemory", used + 400_000)
        sockets = [await service.open(f"s{n}") for n in range(4)]
        tracker.padding = bytes(100_000)
        statuses = set()
        for n in range(10):
            for socket in sockets:
                reply = await step(socket, headed(*CLIP[n]))
                statuses.add(reply["status"])
        for socket in sockets:
            await socket.close()
    assert {"tracking"} < statuses <= {"tracking", "reset"}
