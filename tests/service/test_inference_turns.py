"""Whose question is next: nobody's many or large pictures keep another's waiting."""

import asyncio
import threading

import msgpack
import pytest

from service.inference import LANES, Batch, FairQueue, Load, Question, picture_work
from service.inference.gathering import Gatherer, Reply
from service.inference.loading import Loaded
from service.inference.local import LocalInference
from tests.service.test_inference_gathering import Worker, a_moment
from tests.waiting import MOST_S

USUAL, LARGE, LARGEST = LANES[0] // 4, LANES[1] // 2, LANES[1] + 1


class Timed(Worker):
    """A worker that says how long a call took: a moment, or the seconds of its first row's text."""

    async def __call__(self, key, rows):
        replies = await super().__call__(key, rows)
        seconds = float(rows[0].body) if rows[0].body[:1].isdigit() else 0.001
        return [Reply(reply.body, Batch(len(rows), seconds)) for reply in replies]


async def known(worker, *owners, **options):
    """Return a gatherer that knows how fast the work of these is."""
    gatherer = Gatherer(worker, **options)
    for owner in owners:
        await asyncio.gather(*ask(gatherer, owner))
    worker.calls.clear()
    return gatherer


def ask(gatherer, owner, work=USUAL, count=1, body=None, key="track"):
    load = Load(owner, work)
    bodies = [body or b"%s%d" % (owner.encode(), number) for number in range(count)]
    return [asyncio.create_task(gatherer.ask(key, body, 8, load=load)) for body in bodies]


async def test_who_asks_once_goes_before_the_rest_of_who_asked_often():
    worker = Timed()
    gatherer = await known(worker, "many", "one")
    worker.gate.clear()
    many = ask(gatherer, "many", count=40)
    await a_moment()
    (one,) = ask(gatherer, "one")
    await a_moment()
    worker.gate.set()
    await asyncio.gather(one, *many)
    assert b"one0" in worker.calls[1]


async def test_while_others_ask_nobody_fills_a_call():
    worker = Timed()
    gatherer = await known(worker, "a", "b")
    worker.gate.clear()
    first = ask(gatherer, "b")
    await a_moment()
    many = ask(gatherer, "a", count=20)
    await a_moment()
    worker.gate.set()
    await asyncio.gather(*first, *many)
    assert max(worker.sizes) == LANES[0] // USUAL


async def test_who_is_alone_gets_whole_calls():
    worker = Timed()
    gatherer = await known(worker, "a")
    await asyncio.gather(*ask(gatherer, "a", count=20))
    assert max(worker.sizes) == 8


async def test_who_is_unknown_gets_small_calls_and_beside_others_none_of_the_usual():
    worker = Timed()
    await asyncio.gather(*ask(Gatherer(worker), "a", count=20))
    assert max(worker.sizes) > 4
    assert worker.sizes[0] == LANES[0] // USUAL
    worker = Timed()
    gatherer = await known(worker, "b", apart=True)
    worker.gate.clear()
    unknown = ask(gatherer, "a", count=20)
    await a_moment()
    usual = ask(gatherer, "b")
    await a_moment()
    assert worker.calls[1:] == [[b"b0"]]
    worker.gate.set()
    await asyncio.gather(*unknown, *usual)


async def test_a_call_takes_no_longer_than_is_fair_by_what_is_known():
    worker = Timed()
    gatherer = Gatherer(worker)
    await asyncio.gather(*ask(gatherer, "a", body=b"0.25"))
    worker.calls.clear()
    await asyncio.gather(*ask(gatherer, "a", count=20))
    assert max(worker.sizes) == 4


async def test_usual_work_does_not_wait_for_large_work_that_is_done_apart():
    worker = Timed()
    gatherer = await known(worker, "a", "b", apart=True)
    worker.gate.clear()
    large = ask(gatherer, "a", LARGE) + ask(gatherer, "a", LARGEST)
    await a_moment()
    usual = ask(gatherer, "b")
    await a_moment()
    assert sorted(worker.calls) == sorted([[b"a0"], [b"a0"], [b"b0"]])
    worker.gate.set()
    await asyncio.gather(*large, *usual)


@pytest.mark.parametrize("work", [LARGE, LARGEST])
async def test_the_largest_go_alone_and_one_at_a_time(work):
    worker = Timed()
    gatherer = await known(worker, "a", lanes=lambda: 4)
    worker.most_at_work = 0
    await asyncio.gather(*ask(gatherer, "a", work, count=6))
    assert worker.most_at_work == 1
    assert max(worker.sizes) == LANES[1] // LARGE if work == LARGE else 1


@pytest.mark.parametrize("lanes", [2, 3])
async def test_large_work_never_takes_the_last_worker(lanes):
    worker = Timed()
    gatherer = await known(worker, "a", "b", lanes=lambda: lanes, ahead=True)
    worker.gate.clear()
    large = ask(gatherer, "a", LARGE, count=6) + ask(gatherer, "a", LARGEST, count=6)
    await a_moment()
    assert worker.at_work == lanes - 1
    usual = ask(gatherer, "b")
    await a_moment()
    assert worker.calls[-1] == [b"b0"]
    worker.gate.set()
    await asyncio.gather(*large, *usual)


async def test_what_turned_out_slow_is_large_from_then_on_and_only_for_who_sent_it():
    worker = Timed()
    gatherer = await known(worker, "a", "b", apart=True)
    await asyncio.gather(*ask(gatherer, "a", body=b"5.0"))
    # Quick ones do not make it forgotten.
    await asyncio.gather(*ask(gatherer, "a", count=20))
    worker.calls.clear()
    worker.gate.clear()
    again = ask(gatherer, "a")
    await a_moment()
    other = ask(gatherer, "b")
    await a_moment()
    assert worker.calls == [[b"a0"], [b"b0"]]
    worker.gate.set()
    await asyncio.gather(*again, *other)


async def test_a_worker_elsewhere_is_not_sent_more_large_work_than_it_has_ended():
    worker = Worker()
    worker.gate.clear()
    gatherer = Gatherer(worker, lambda: 2)
    (left,) = ask(gatherer, "a", LARGEST)
    await a_moment()
    left.cancel()
    (after,) = ask(gatherer, "a", LARGEST)
    await a_moment()
    assert (worker.at_work, len(worker.calls), worker.cancelled) == (1, 1, 0)
    worker.gate.set()
    await after


def test_who_was_away_has_saved_nothing():
    turns = FairQueue()
    for _ in range(5):
        turns.serve(turns.enter("a", 10))
    assert turns.enter("b", 10) == 40
    assert turns.enter("b", 10) == 50
    assert turns.enter("a", 10) == 50


def test_smaller_faces_and_given_boxes_are_more_work():
    usual = picture_work(300_000, 40)
    assert picture_work(300_000, 12) > 2 * usual
    assert picture_work(300_000, 40, boxes=64) > 10 * usual
    assert picture_work(50_000_000, 40) > LANES[-1]


class Blocking:
    """A handler that stops at pictures that begin with `l`, until it is let go."""

    def __init__(self) -> None:
        self.begun, self.gate = threading.Semaphore(0), threading.Event()
        self.seen: list[bytes] = []

    def handle(self, rows):
        images = [row["inputs"]["image"] for row in rows]
        self.seen += images
        if images[0].startswith(b"l"):
            self.begun.release()
            assert self.gate.wait(MOST_S)
        return [msgpack.packb({"outputs": {"image": image}}) for image in images]

    def describe(self):
        return {"name": "align", "version": "1", "sha256": "0"}


@pytest.fixture
async def blocking():
    handler = Blocking()
    local = LocalInference(lambda: Loaded("cpu", {"align": handler}))
    await local.open()
    yield handler, local
    handler.gate.set()
    await local.close()


def picture(image: bytes, owner: str, work: int) -> Question:
    return Question({"image": image}, {}, None, Load(owner, work))


@pytest.mark.parametrize("work", [LARGE, LARGEST])
async def test_in_this_process_a_usual_picture_is_answered_while_a_large_one_is_at_work(
    blocking, work
):
    handler, local = blocking
    await local.ask("align", picture(b"u", "b", USUAL))
    large = asyncio.create_task(local.ask("align", picture(b"l", "a", work)))
    await asyncio.to_thread(handler.begun.acquire)
    answer = await asyncio.wait_for(local.ask("align", picture(b"u", "b", USUAL)), MOST_S)
    assert (answer.outputs["image"], large.done()) == (b"u", False)
    handler.gate.set()
    await large


async def test_an_abandoned_batch_is_stopped_between_pictures(blocking):
    handler, local = blocking
    images = [b"l0", b"l1", b"l2"]
    asked = [
        asyncio.create_task(local.ask("align", picture(image, "a", LARGE // 3))) for image in images
    ]
    await asyncio.to_thread(handler.begun.acquire)
    for task in asked:
        task.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    handler.gate.set()
    await local.ask("align", picture(b"l9", "b", LARGE))
    assert handler.seen == [b"l0", b"l9"]
