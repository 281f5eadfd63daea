"""One suite for every session store: memory, and a real Redis."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from service.app import make_store
from service.errors import ConfigurationError, Problem, ServiceError
from service.sessions import Address, MemoryStore, Outcome, Session, SessionStore, new_epoch
from service.sessions.redis import RedisStore
from service.settings import Settings
from service.telemetry import Metrics

ADDRESS = Address("track", "alice", "camera-1")
TTL_S, MAX_BYTES = 60.0, 4096


KEY = "countenance:track:alice:camera-1"


def make_redis(url: str, ttl_s: float = TTL_S, **options: Any) -> RedisStore:
    return RedisStore(url, ttl_s, MAX_BYTES, timeout_s=5.0, **options)


@pytest.fixture(params=["memory", "redis"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[SessionStore]:
    if request.param == "memory":
        store: SessionStore = MemoryStore(TTL_S, 100, MAX_BYTES)
    else:
        store = make_redis(request.getfixturevalue("redis_server").url)
    yield store
    await store.close()


async def step(store: SessionStore, epoch: str, known: int, state: bytes = b"s") -> Outcome:
    return await store.commit(ADDRESS, epoch, known, Session(epoch, known + 1, state))


async def test_there_is_no_session_before_the_first_connection(store):
    assert await store.load(ADDRESS) is None


async def test_a_first_connection_starts_a_session_at_step_0(store):
    session = await store.connect(ADDRESS, "a")
    assert (session.epoch, session.step, session.state, session.reply) == ("a", 0, None, None)
    assert session.created_s == session.updated_s > 1e9
    assert await store.load(ADDRESS) == session


async def test_a_session_is_only_resumed_where_there_is_one(store):
    assert await store.resume(ADDRESS, "a") is None
    assert await store.load(ADDRESS) is None
    await store.connect(ADDRESS, "a")
    await step(store, "a", 0)
    resumed = await store.resume(ADDRESS, "b")
    assert (resumed.epoch, resumed.step, resumed.state) == ("b", 1, b"s")
    assert await step(store, "a", 1) is Outcome.CONFLICT
    assert await step(store, "b", 1) is Outcome.STORED
    await store.delete(ADDRESS)
    assert await store.resume(ADDRESS, "c") is None


@pytest.fixture(params=["memory", "redis"])
async def small_store(request: pytest.FixtureRequest) -> AsyncIterator[SessionStore]:
    """A store that keeps three sessions of an owner."""
    if request.param == "memory":
        store: SessionStore = MemoryStore(TTL_S, 100, MAX_BYTES, each=3)
    else:
        store = make_redis(request.getfixturevalue("redis_server").url, each=3)
    yield store
    await store.close()


async def test_who_has_too_many_sessions_loses_the_own_oldest_and_nobody_else_any(small_store):
    other = replace(ADDRESS, owner="bob")
    await small_store.connect(other, "e")
    await small_store.commit(other, "e", 0, Session("e", 1, b"bob's"))
    for name in "abc":
        await small_store.commit(replace(ADDRESS, name=name), "e", 0, Session("e", 1, b"s"))
    # Written again, `a` is not the oldest any more.
    written = await small_store.commit(replace(ADDRESS, name="a"), "e", 1, Session("e", 2, b"s"))
    assert written is Outcome.STORED
    for number in range(50):
        await small_store.connect(replace(ADDRESS, name=str(number)), "e")
        if number == 0:
            assert await small_store.load(replace(ADDRESS, name="b")) is None
            assert await small_store.load(replace(ADDRESS, name="a")) is not None
    kept = [await small_store.load(replace(ADDRESS, name=str(number))) for number in range(50)]
    assert [session is not None for session in kept] == [False] * 47 + [True] * 3
    assert (await small_store.load(other)).state == b"bob's"


async def test_sessions_that_have_ended_count_no_more(small_store):
    for number in range(10):
        address = replace(ADDRESS, name=str(number))
        await small_store.connect(address, "e")
        if number > 1:
            await small_store.delete(address)
    for number in (0, 1):
        assert await small_store.load(replace(ADDRESS, name=str(number))) is not None


async def test_what_is_written_is_read_by_the_next_connection(store):
    started = await store.connect(ADDRESS, "a")
    state, reply = bytes(range(256)), b'{"step": 1}'
    written = await store.commit(ADDRESS, "a", 0, Session("a", 1, state, reply))
    assert written is Outcome.STORED
    found = await store.connect(ADDRESS, "b")
    assert (found.epoch, found.step, found.state, found.reply) == ("b", 1, state, reply)
    assert found.created_s == started.created_s


async def test_a_write_without_state_or_reply_takes_them_away(store):
    await store.connect(ADDRESS, "a")
    await store.commit(ADDRESS, "a", 0, Session("a", 1, b"state", b"reply"))
    await store.commit(ADDRESS, "a", 1, Session("a", 2))
    found = await store.load(ADDRESS)
    assert found is not None
    assert (found.step, found.state, found.reply) == (2, None, None)


async def test_of_two_connections_the_newer_wins_and_the_older_is_refused(store):
    await store.connect(ADDRESS, "older")
    assert await step(store, "older", 0) is Outcome.STORED
    await store.connect(ADDRESS, "newer")
    assert await step(store, "older", 1) is Outcome.CONFLICT
    assert await step(store, "newer", 1) is Outcome.STORED


async def test_a_newer_connection_wins_before_either_has_written(store):
    await store.connect(ADDRESS, "older")
    await store.connect(ADDRESS, "newer")
    assert await step(store, "older", 0) is Outcome.CONFLICT
    assert await step(store, "newer", 0) is Outcome.STORED


async def test_a_write_from_another_step_than_the_known_one_is_refused(store):
    await store.connect(ADDRESS, "a")
    for known in range(3):
        assert await step(store, "a", known) is Outcome.STORED
    assert await store.commit(ADDRESS, "a", 4, Session("a", 5)) is Outcome.CONFLICT
    assert await store.commit(ADDRESS, "a", 0, Session("a", 1)) is Outcome.CONFLICT


async def test_a_write_that_is_repeated_counts_as_stored(store):
    await store.connect(ADDRESS, "a")
    new = Session("b", 1, b"state")
    for _ in range(2):
        assert await store.commit(ADDRESS, "a", 0, new) is Outcome.STORED


async def test_a_write_covers_its_own_writes_whose_answers_were_lost(store):
    await store.connect(ADDRESS, "a")
    for known in range(4):
        assert await step(store, "a", known) is Outcome.STORED
    assert await store.commit(ADDRESS, "a", 1, Session("a", 9)) is Outcome.STORED


async def test_a_late_write_does_not_undo_a_newer_one(store):
    await store.connect(ADDRESS, "a")
    await store.commit(ADDRESS, "a", 0, Session("a", 5, b"newer"))
    assert await step(store, "a", 0, b"late") is Outcome.CONFLICT
    found = await store.load(ADDRESS)
    assert found is not None
    assert found.state == b"newer"


async def test_of_many_writers_from_one_step_exactly_one_wins(store):
    await store.connect(ADDRESS, "a")
    writers = [Session(new_epoch(), 1, b"%d" % n) for n in range(20)]
    outcomes = await asyncio.gather(*(store.commit(ADDRESS, "a", 0, new) for new in writers))
    assert sorted(outcome.value for outcome in outcomes) == ["conflict"] * 19 + ["stored"]
    found = await store.load(ADDRESS)
    assert found is not None
    assert found.state == writers[outcomes.index(Outcome.STORED)].state


async def test_a_write_to_a_session_that_is_gone_is_told(store):
    assert await step(store, "a", 3) is Outcome.MISSING
    assert await store.load(ADDRESS) is None


async def test_a_first_write_may_start_the_session(store):
    assert await step(store, "a", 0) is Outcome.STORED
    found = await store.load(ADDRESS)
    assert found is not None
    assert found.created_s > 1e9


async def test_a_session_that_is_ended_is_gone_and_refuses_who_is_still_connected(store):
    await store.connect(ADDRESS, "a")
    await step(store, "a", 0)
    assert await store.delete(ADDRESS)
    assert await store.load(ADDRESS) is None
    assert await step(store, "a", 1) is Outcome.CONFLICT
    assert await step(store, "a", 0) is Outcome.CONFLICT
    assert not await store.delete(ADDRESS)


async def test_a_name_can_be_used_again_after_its_session_was_ended(store):
    await store.connect(ADDRESS, "a")
    await step(store, "a", 0, b"old")
    await store.delete(ADDRESS)
    again = await store.connect(ADDRESS, "b")
    assert (again.step, again.state) == (0, None)
    assert await step(store, "b", 0) is Outcome.STORED


@pytest.mark.parametrize(
    "other",
    [
        replace(ADDRESS, owner="bob"),
        replace(ADDRESS, model="affect"),
        replace(ADDRESS, name="camera-2"),
        Address("track", "alice:camera-1", ""),
        Address("track:alice", "camera-1", ""),
        Address("track", "alice%3Acamera-1", ""),
    ],
)
async def test_nobody_reaches_the_session_of_another(store, other):
    await store.connect(ADDRESS, "a")
    assert await store.load(other) is None
    assert not await store.delete(other)
    assert await store.load(ADDRESS) is not None


async def test_a_session_that_is_too_large_is_the_model_s_fault_and_not_kept(store):
    await store.connect(ADDRESS, "a")
    with pytest.raises(ServiceError) as caught:
        await store.commit(ADDRESS, "a", 0, Session("a", 1, bytes(MAX_BYTES), b"r"))
    assert caught.value.problem is Problem.INTERNAL
    assert await store.commit(ADDRESS, "a", 0, Session("a", 1, bytes(MAX_BYTES))) is Outcome.STORED


async def test_a_store_that_answers_passes_its_check(store):
    await store.check()


async def test_memory_forgets_what_was_not_written_for_its_time():
    now = [1000.0]
    store = MemoryStore(TTL_S, 100, MAX_BYTES, lambda: now[0])
    await store.connect(ADDRESS, "a")
    now[0] += TTL_S - 1
    assert await step(store, "a", 0) is Outcome.STORED
    now[0] += TTL_S - 1
    assert await store.load(ADDRESS) is not None
    now[0] += 1
    assert await store.load(ADDRESS) is None
    assert await step(store, "a", 1) is Outcome.MISSING


async def test_redis_forgets_what_was_not_written_for_its_time(redis_server):
    """Redis keeps the time: keys are given less of it here, as if some had passed."""
    store = make_redis(redis_server.url, ttl_s=100.0)
    await store.connect(ADDRESS, "a")
    for known in range(3):
        keys = redis_server.ask("KEYS", "*")
        assert all(redis_server.ask("PEXPIRE", key, 50_000) for key in keys)
        assert await step(store, "a", known) is Outcome.STORED
        assert all(redis_server.ask("PTTL", key) > 50_000 for key in keys)
    assert all(redis_server.ask("PEXPIRE", key, 0) for key in keys)
    assert await step(store, "a", 3) is Outcome.MISSING
    assert redis_server.ask("DBSIZE") == 0
    await store.close()


async def test_memory_makes_room_by_the_oldest():
    store = MemoryStore(TTL_S, 3, MAX_BYTES)
    for name in "abcd":
        await store.connect(replace(ADDRESS, name=name), "e")
    assert await store.load(replace(ADDRESS, name="a")) is None
    assert await store.load(replace(ADDRESS, name="b")) is not None
    assert len(store) == 3


async def test_a_redis_that_lost_its_scripts_gets_them_again(redis_server):
    store = make_redis(redis_server.url)
    await store.connect(ADDRESS, "a")
    redis_server.ask("SCRIPT", "FLUSH")
    assert await step(store, "a", 0) is Outcome.STORED
    await store.close()


def test_an_address_that_is_none_stops_the_start():
    with pytest.raises(ConfigurationError, match="REDIS_URL"):
        make_store(Settings(redis_url="localhost:6379"), Metrics())


async def test_every_operation_is_timed(redis_server):
    metrics = Metrics()
    store = make_store(Settings(redis_url=redis_server.url), metrics)
    await store.connect(ADDRESS, "a")
    await store.close()
    labels = {"operation": "connect", "outcome": "answered"}
    assert metrics.registry.get_sample_value("countenance_store_seconds_count", labels) == 1
