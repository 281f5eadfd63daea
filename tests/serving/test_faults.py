"""Fifty live sessions while parts of a real deployment die: what their clients see."""

import asyncio
import os
import signal
import time
from importlib.util import find_spec

import pytest

from tests.serving.crowd import RESULTS, Crowd
from tests.serving.servers import lingers
from tests.serving.slowness import slowness
from tests.waiting import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ts") is None, reason="needs the extra torchserve"),
]
TWO_WORKERS_S, ONE_WORKER_S = 2.0, 8.0
CALM_S = 3.0


async def fifty(deployment) -> Crowd:
    """A crowd over both services of a sound deployment, not yet there."""
    await asyncio.to_thread(deployment.mend)
    return Crowd([service.live for service in deployment.services])


async def how_slow(deployment) -> float:
    """How slow the machine is while nothing starts up."""
    await asyncio.to_thread(deployment.mend)
    return await asyncio.to_thread(slowness)


def no_session_was_reset(crowd: Crowd) -> bool:
    """Whether every session has counted on and on."""
    steps = (client.steps for client in crowd.clients)
    return all(s == sorted(set(s)) and s[0] == 1 for s in steps)


async def calm(crowd: Crowd) -> None:
    """Some seconds in which nothing may go wrong."""
    started = time.monotonic()
    await asyncio.sleep(CALM_S)
    damage = crowd.damage(started)
    assert damage.share_of_results >= 0.99, damage
    assert damage.unanswered == 0


@pytest.mark.parametrize(("killed", "most_s"), [(1, TWO_WORKERS_S), (2, ONE_WORKER_S)])
async def test_a_killed_worker_costs_a_short_gap_and_no_session(deployment, killed, most_s):
    """Both workers killed at once are what the only one is."""
    slow = await how_slow(deployment)
    async with await fifty(deployment) as crowd:
        await calm(crowd)
        started = time.monotonic()
        gone = set(deployment.models.worker_pids()[:killed])
        for pid in gone:
            os.kill(pid, signal.SIGKILL)
        await until(lambda: gone.isdisjoint(deployment.models.worker_pids()))
        await asyncio.to_thread(deployment.models.wait_until_up)
        await crowd.until_answered()
        damage = crowd.damage(started)
        await calm(crowd)
    print(f"{killed} of 2 workers killed, slowness {slow:.1f}: {damage}")
    assert damage.unanswered == 0
    assert no_session_was_reset(crowd)
    assert damage.longest_gap_s < most_s * slow


async def test_a_killed_java_is_back_soon_and_costs_no_session(deployment):
    slow = await how_slow(deployment)
    async with await fifty(deployment) as crowd:
        started, java = time.monotonic(), deployment.models.java
        os.kill(java, signal.SIGKILL)
        await asyncio.to_thread(lingers, java)
        await crowd.until_answered()
        damage = crowd.damage(started)
        await asyncio.to_thread(deployment.mend)
    print(f"java killed, slowness {slow:.1f}: {damage}")
    assert damage.unanswered == 0
    assert no_session_was_reset(crowd)
    assert damage.longest_gap_s < 20 * slow


async def test_a_killed_service_costs_its_clients_the_frame_in_flight_and_no_session(deployment):
    async with await fifty(deployment) as crowd:
        await calm(crowd)
        started = time.monotonic()
        deployment.services[0].kill()
        await crowd.until_answered()
        damage = crowd.damage(started)
        await calm(crowd)
    print(f"one of two services killed: {damage}")
    assert damage.unanswered <= len(crowd.clients) / 2
    assert no_session_was_reset(crowd)
    undisturbed = crowd.clients[1::2]
    assert all(client.closes == [] for client in undisturbed)
    assert all(frame.status in RESULTS for client in undisturbed for frame in client.sent[:-1])


async def test_a_stopped_service_answers_what_it_has_read_and_says_1012(deployment):
    slow = await how_slow(deployment)
    async with await fifty(deployment) as crowd:
        # On a slow machine some were told at the door to come again later, and went to the other.
        there = [client for client in crowd.clients[::2] if not client.closes]
        started = time.monotonic()
        status = await asyncio.to_thread(deployment.services[0].kill, signal.SIGTERM)
        seconds = time.monotonic() - started
        await crowd.until_answered()
        damage = crowd.damage(started)
    print(f"one of two services stopped in {seconds:.1f} s: {damage}")
    assert status in (0, -signal.SIGTERM)
    assert seconds < 20 * slow
    # The other service may tell who comes over to come again later.
    assert {client.closes[0] for client in there} == {1012}
    assert no_session_was_reset(crowd)


async def test_a_restarted_redis_costs_a_reset_and_nothing_else(deployment):
    async with await fifty(deployment) as crowd:
        await calm(crowd)
        started = time.monotonic()
        deployment.redis.kill()
        await asyncio.sleep(1.0)
        deployment.redis.start()
        await crowd.until_answered()
        await crowd.until_answered()
        damage = crowd.damage(started)
        await calm(crowd)
    print(f"redis restarted empty: {damage}")
    assert damage.unanswered == 0
    assert damage.share_of_results == 1.0
    assert damage.statuses["reset"] == len(crowd.clients)


async def test_a_full_redis_keeps_sessions_in_their_connections(deployment):
    async with await fifty(deployment) as crowd:
        started = time.monotonic()
        deployment.redis.ask("CONFIG", "SET", "maxmemory", "1")
        await asyncio.sleep(3.0)
        deployment.redis.ask("CONFIG", "SET", "maxmemory", "0")
        await crowd.until_answered()
        damage = crowd.damage(started)
    print(f"redis full for 3 s: {damage}")
    assert (damage.unanswered, damage.share_of_results) == (0, 1.0)
    assert any(not frame.stored for client in crowd.clients for frame in client.sent)
    assert no_session_was_reset(crowd)
    assert all(client.last.stored for client in crowd.clients)


async def test_a_redis_that_pauses_for_five_seconds_costs_no_session(deployment):
    slow = await how_slow(deployment)
    async with await fifty(deployment) as crowd:
        started = time.monotonic()
        deployment.redis.ask("CLIENT", "PAUSE", 5000)
        await asyncio.sleep(5.5)
        await crowd.until_answered()
        damage = crowd.damage(started)
    print(f"redis paused for 5 s: {damage}")
    assert damage.unanswered == 0
    assert damage.share_of_results == 1.0
    assert no_session_was_reset(crowd)
    assert damage.longest_gap_s < 2.0 * slow
