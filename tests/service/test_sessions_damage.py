"""Sessions that somebody else has written over in Redis: found out, told, and begun anew."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from service.sessions import Outcome, Session
from service.sessions.redis import RedisStore
from tests.service.test_sessions import ADDRESS, KEY, make_redis, step

DAMAGES: dict[str, list[tuple[str | int, ...]]] = {
    "another's state": [("HSET", KEY, "state", "of another")],
    "another's reply": [("HSET", KEY, "reply", "<script>")],
    "another's step": [("HSET", KEY, "step", 7)],
    "a state of 100 KB": [("HSET", KEY, "state", "x" * 100_000)],
    "an epoch of 1 MB": [("HSET", KEY, "epoch", "x" * 1_000_000)],
    "a deep reply": [("HSET", KEY, "reply", "[" * 4000)],
    "no seal": [("HDEL", KEY, "seal")],
    "no epoch": [("HDEL", KEY, "epoch")],
    "no step": [("HDEL", KEY, "step")],
    "a late step of nothing": [("HSET", KEY, "step", 2**53, "state", "", "reply", "")],
    "a step in words": [("HSET", KEY, "step", "many")],
    "a step that is no number": [("HSET", KEY, "step", "nan")],
    "a step below nought": [("HSET", KEY, "step", -3)],
    "an endless step": [("HSET", KEY, "step", "9" * 4000)],
    "a time that is no number": [("HSET", KEY, "updated", "nan")],
    "an endless time": [("HSET", KEY, "created", "1e999")],
    "a text": [("DEL", KEY), ("SET", KEY, "text")],
    "a list": [("DEL", KEY), ("RPUSH", KEY, "a", "b")],
    "a set": [("DEL", KEY), ("SADD", KEY, "a")],
}


@pytest.fixture
async def damaged(redis_server, request) -> AsyncIterator[RedisStore]:
    """A store with a session of two steps that another has written over."""
    store = make_redis(redis_server.url, secret=b"s" * 32, each=3)
    await store.connect(ADDRESS, "a")
    for known in range(2):
        await store.commit(ADDRESS, "a", known, Session("a", known + 1, b"state", b"reply"))
    for command in DAMAGES[request.param]:
        redis_server.ask(*command)
    yield store
    await store.close()


each_damage = pytest.mark.parametrize("damaged", DAMAGES, indirect=True)
# Who takes a session over writes its epoch and time anew, and finds the rest sealed.
MENDED = {"no epoch", "a time that is no number"}


@each_damage
async def test_what_another_wrote_to_redis_is_found_out_and_never_handed_on(damaged):
    found = await damaged.load(ADDRESS)
    assert (found.state, found.reply, found.step) == (None, None, 0)
    assert found.damage


@pytest.mark.parametrize("damaged", [name for name in DAMAGES if name not in MENDED], indirect=True)
@pytest.mark.parametrize("way", ["connect", "resume"])
async def test_a_damaged_session_starts_anew_with_the_reason_and_goes_on(damaged, way):
    taken = await getattr(damaged, way)(ADDRESS, "b")
    assert (taken.epoch, taken.step, taken.state) == ("b", 0, None)
    assert taken.damage
    assert await step(damaged, "b", 0) is Outcome.STORED
    again = await damaged.load(ADDRESS)
    assert (again.damage, again.step, again.state) == (None, 1, b"s")


@each_damage
async def test_who_holds_a_damaged_session_is_told_and_can_end_it(damaged):
    outcome = await damaged.commit(ADDRESS, "a", 2, Session("a", 3, b"s"))
    assert outcome in tuple(Outcome)
    await damaged.delete(ADDRESS)
    assert await damaged.load(ADDRESS) is None


async def test_what_redis_holds_of_a_session_is_known_to_the_byte(redis_server):
    store = make_redis(redis_server.url)
    await store.connect(ADDRESS, "a")
    await store.commit(ADDRESS, "a", 0, Session("a", 1, b"state", b"reply"))
    key = "countenance:track:alice:camera-1"
    assert redis_server.ask("KEYS", "*") == [key.encode()]
    found = redis_server.ask("HGETALL", key)
    fields = {b"epoch", b"step", b"state", b"reply", b"created", b"updated", b"seal"}
    assert set(found) == fields
    assert (found[b"state"], found[b"reply"]) == (b"state", b"reply")
    await store.delete(ADDRESS)
    assert redis_server.ask("HGETALL", key) == {b"ended": b"1"}
    assert 0 < redis_server.ask("TTL", key) <= 60
    await store.close()


async def test_a_session_of_another_name_or_secret_does_not_pass_for_this_one(redis_server):
    store = make_redis(redis_server.url, secret=b"s" * 32)
    other = replace(ADDRESS, owner="bob")
    await store.commit(other, "e", 0, Session("e", 1, b"bob's"))
    redis_server.ask("RENAME", "countenance:track:bob:camera-1", KEY)
    assert "seal" in (await store.load(ADDRESS)).damage
    await store.commit(other, "e", 0, Session("e", 1, b"bob's"))
    stranger = make_redis(redis_server.url, secret=b"t" * 32)
    assert "seal" in (await stranger.load(other)).damage
    assert (await store.load(other)).damage is None
    await store.close()
    await stranger.close()


async def test_an_owner_s_set_that_another_wrote_is_replaced(redis_server):
    store = make_redis(redis_server.url, each=2)
    redis_server.ask("SET", "countenance::alice", "text")
    for name in "abcd":
        await store.connect(replace(ADDRESS, name=name), "e")
    assert await store.load(replace(ADDRESS, name="d")) is not None
    await store.close()
