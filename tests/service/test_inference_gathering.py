"""Questions that wait go together: how many, with whom, and what becomes of those who leave."""

import asyncio
from collections.abc import Sequence

import pytest

from service.inference import Question
from service.inference.gathering import MOST_BYTES, Gatherer, Reply, Row, most_rows
from service.telemetry import REQUEST_ID
from tests.waiting import MOST_S, HeldClock


class Worker:
    """Echoes rows once `gate` is open; remembers the calls, and which were cancelled."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.calls: list[list[bytes]] = []
        self.request_ids: list[str | None] = []
        self.at_work = self.most_at_work = self.cancelled = 0
        self.error: Exception | None = None
        self.row_s = 0.0

    async def __call__(self, key: object, rows: Sequence[Row]) -> list[Reply]:
        self.calls.append([row.body for row in rows])
        self.request_ids.append(REQUEST_ID.get())
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        try:
            await self.gate.wait()
            await asyncio.sleep(self.row_s * len(rows))
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.at_work -= 1
        if self.error is not None:
            raise self.error
        return [Reply(row.body, None) for row in rows]

    @property
    def sizes(self) -> list[int]:
        return [len(call) for call in self.calls]


@pytest.fixture
def worker() -> Worker:
    return Worker()


def ask(
    gatherer: Gatherer, *bodies: bytes, key: object = "track", most: int = 16
) -> list["asyncio.Task[Reply]"]:
    return [asyncio.create_task(gatherer.ask(key, body, most)) for body in bodies]


async def a_moment() -> None:
    """Let everybody come as far as possible."""
    for _ in range(10):
        await asyncio.sleep(0)


def numbered(count: int) -> list[bytes]:
    return [bytes([number]) for number in range(count)]


async def test_a_lone_question_goes_at_once_and_alone(worker):
    gatherer = Gatherer(worker)
    for body in numbered(3):
        (asked,) = ask(gatherer, body)
        assert (await asked).body == body
    assert worker.sizes == [1, 1, 1]


async def test_who_asks_in_the_same_turn_goes_together_and_gets_the_own_answer(worker):
    replies = await asyncio.gather(*ask(Gatherer(worker), *numbered(5)))
    assert [reply.body for reply in replies] == numbered(5)
    assert worker.sizes == [5]


async def test_who_waits_for_a_call_goes_with_the_others_that_wait(worker):
    worker.gate.clear()
    gatherer = Gatherer(worker)
    asked = ask(gatherer, *numbered(3))
    await a_moment()
    for body in numbered(3):
        asked += ask(gatherer, body)
        await a_moment()
    assert worker.sizes == [3]
    worker.gate.set()
    await asyncio.gather(*asked)
    assert worker.sizes == [3, 3]


async def test_a_call_has_no_more_rows_than_each_of_them_allows(worker):
    gatherer = Gatherer(worker)
    await asyncio.gather(*ask(gatherer, *numbered(20), most=8))
    assert max(worker.sizes) == 8
    assert sum(worker.sizes) == 20
    worker.calls.clear()
    alone = ask(gatherer, b"a", most=1) + ask(gatherer, b"b", b"c") + ask(gatherer, b"d", most=1)
    await asyncio.gather(*alone)
    assert [b"a"] in worker.calls
    assert [b"d"] in worker.calls


async def test_large_rows_share_a_call_as_long_as_it_stays_small(worker):
    third = bytes(MOST_BYTES // 3)
    await asyncio.gather(*ask(Gatherer(worker), third, third, third, third + b"x"))
    assert all(sum(map(len, call)) <= MOST_BYTES for call in worker.calls)
    assert worker.sizes[0] == 3
    (larger,) = ask(Gatherer(worker), bytes(MOST_BYTES + 1))
    await larger
    assert worker.sizes[-1] == 1


async def test_models_take_turns_in_the_order_of_asking(worker):
    worker.gate.clear()
    gatherer = Gatherer(worker)
    asked = ask(gatherer, b"0", key="align")
    await a_moment()
    asked += ask(gatherer, b"1", key="track") + ask(gatherer, b"2", key="affect")
    asked += ask(gatherer, b"3", key="track") + ask(gatherer, b"4", key="affect")
    worker.gate.set()
    await asyncio.gather(*asked)
    assert worker.calls == [[b"0"], [b"1", b"3"], [b"2", b"4"]]


@pytest.mark.parametrize("lanes", [1, 2, 3])
async def test_as_many_calls_are_at_work_as_there_are_lanes(worker, lanes):
    worker.row_s = 0.001
    gatherer = Gatherer(worker, lambda: lanes)
    await asyncio.gather(*ask(gatherer, *numbered(30), most=4))
    assert worker.most_at_work == lanes


async def test_only_full_calls_are_sent_ahead_and_as_many_as_there_are_lanes(worker):
    worker.gate.clear()
    gatherer = Gatherer(worker, ahead=True)
    asked = ask(gatherer, b"first", most=4)
    await a_moment()
    asked += ask(gatherer, *numbered(3), most=4)
    await a_moment()
    assert worker.sizes == [1]
    asked += ask(gatherer, *numbered(6), most=4)
    await a_moment()
    assert worker.sizes == [1, 4]
    worker.gate.set()
    await asyncio.gather(*asked)
    assert sum(worker.sizes) == 10


def test_sessions_that_ask_again_and_again_settle_in_even_groups(worker):
    """As many wait as are at work, so that nobody's way back leaves the worker idle."""
    worker.row_s = 0.001
    gatherer = Gatherer(worker)

    async def session(number: int) -> None:
        await asyncio.sleep(0.001 * number)
        for _ in range(12):
            await gatherer.ask("track", bytes([number]), 16)
            await asyncio.sleep(0.002)

    async def sessions() -> None:
        await asyncio.gather(*(session(number) for number in range(16)))

    with asyncio.Runner(loop_factory=HeldClock) as runner:
        runner.run(sessions())
    assert worker.sizes[8:24] == [8] * 16


async def test_who_leaves_while_waiting_is_dropped(worker):
    worker.gate.clear()
    gatherer = Gatherer(worker)
    first = ask(gatherer, b"1")
    await a_moment()
    second, third = ask(gatherer, b"2", b"3")
    await a_moment()
    second.cancel()
    worker.gate.set()
    await asyncio.gather(*first, third)
    assert worker.calls == [[b"1"], [b"3"]]
    assert second.cancelled()


async def test_who_leaves_a_call_takes_no_neighbour_along(worker):
    worker.gate.clear()
    leaving, staying = ask(Gatherer(worker), b"1", b"2")
    await a_moment()
    leaving.cancel()
    worker.gate.set()
    assert (await staying).body == b"2"
    assert worker.cancelled == 0


async def test_a_late_question_takes_no_neighbour_along(worker):
    worker.gate.clear()
    gatherer = Gatherer(worker)

    async def impatient() -> None:
        async with asyncio.timeout(0.02):
            await gatherer.ask("track", b"1", 16)

    late = asyncio.create_task(impatient())
    (patient,) = ask(gatherer, b"2")
    with pytest.raises(TimeoutError):
        await late
    worker.gate.set()
    assert (await patient).body == b"2"


async def test_a_call_that_all_have_left_is_cancelled_and_its_lane_free(worker):
    worker.gate.clear()
    gatherer = Gatherer(worker)
    leaving = ask(gatherer, b"1", b"2")
    await a_moment()
    (waiting,) = ask(gatherer, b"3")
    for task in leaving:
        task.cancel()
    await a_moment()
    assert worker.cancelled == 1
    worker.gate.set()
    assert (await waiting).body == b"3"


async def test_who_leaves_at_once_costs_no_lane(worker):
    gatherer = Gatherer(worker)
    for body in numbered(8):
        (asked,) = ask(gatherer, body)
        await asyncio.sleep(0)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
    (asked,) = ask(gatherer, b"last")
    assert (await asyncio.wait_for(asked, MOST_S)).body == b"last"


async def test_a_call_that_fails_fails_for_each_and_the_next_one_works(worker):
    worker.error = ValueError("no")
    gatherer = Gatherer(worker)
    found = await asyncio.gather(*ask(gatherer, *numbered(3)), return_exceptions=True)
    assert [type(error) for error in found] == [ValueError] * 3
    worker.error = None
    assert [(await asked).body for asked in ask(gatherer, b"4")] == [b"4"]


async def test_a_lost_reply_is_a_failure_and_nobody_gets_another_one_s(worker):
    async def lose(key: object, rows: Sequence[Row]) -> list[Reply]:
        return (await worker(key, rows))[1:]

    found = await asyncio.gather(*ask(Gatherer(lose), *numbered(3)), return_exceptions=True)
    assert all(isinstance(error, RuntimeError) for error in found)


async def test_closing_turns_away_who_waits_and_lets_the_call_end(worker):
    worker.gate.clear()
    gatherer = Gatherer(worker)
    (at_work,) = ask(gatherer, b"1")
    await a_moment()
    (waiting,) = ask(gatherer, b"2")
    await a_moment()
    gatherer.close(ValueError("closed"))
    with pytest.raises(ValueError, match="closed"):
        await waiting
    worker.gate.set()
    assert (await at_work).body == b"1"


async def test_a_call_knows_the_requests_of_all_its_rows(worker):
    gatherer = Gatherer(worker)

    async def request(request_id: str | None) -> None:
        REQUEST_ID.set(request_id)
        await gatherer.ask("track", b"1", 16)

    await asyncio.gather(*(request(found) for found in ("a", None, "b")))
    await request(None)
    assert worker.request_ids == ["a,b", None]


def test_answers_with_pictures_in_them_come_one_by_one():
    assert most_rows("align", Question({}, {"include": ["overlay"]})) == 1
    assert most_rows("align", Question({}, {"include": []})) == 8
    assert most_rows("track", Question({}, {})) == 16
