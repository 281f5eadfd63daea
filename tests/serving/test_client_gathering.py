"""The client to the workers: questions that wait share a call, and what that means for each."""

import asyncio

import msgpack
import pytest
from aiohttp import web

from service.errors import Problem
from service.telemetry import REQUEST_ID
from tests.serving.test_client import problem_of, question
from tests.serving.workers import answered, reset, status
from tests.waiting import MOST_S, settle, until, until_ready


async def while_one_is_at_work(client, worker, *asked):
    """Ask while the worker is busy with something else; return what came, errors too."""
    silence = asyncio.Event()

    async def busy(_):
        await silence.wait()
        return answered({})

    worker.next.insert(0, busy)
    first = asyncio.create_task(client.ask("track", question()))
    await until(lambda: worker.calls)
    asking = [asyncio.create_task(client.ask("track", each)) for each in asked]
    await settle()
    silence.set()
    await first
    return await asyncio.gather(*asking, return_exceptions=True)


async def test_questions_that_wait_share_a_call_and_each_gets_its_own_answer(workers, connect):
    client = await connect(workers[0].address)
    asked = [question(n, bytes([n])) for n in range(7)]
    answers = await while_one_is_at_work(client, workers[0], *asked)
    assert [answer.outputs["echo"] for answer in answers] == list(range(7))
    assert [answer.state for answer in answers] == [bytes([n]) for n in range(7)]
    assert workers[0].calls == [1, 4, 3]
    assert [answer.batch.rows for answer in answers] == [4] * 4 + [3] * 3
    assert answers[0].batch.seconds == 0.001


async def test_the_requests_ids_travel_beside_their_rows(workers, connect):
    client = await connect(workers[0].address)

    async def ask(request_id: str | None) -> None:
        REQUEST_ID.set(request_id)
        await client.ask("track", question())

    await asyncio.gather(*(ask(found) for found in ("a", None, "b")))
    assert workers[0].request_ids == ["a", None, "b"]


@pytest.mark.parametrize("failure", [status(503), reset])
async def test_after_a_failure_that_one_row_may_have_caused_each_goes_alone(
    workers, connect, failure
):
    client = await connect(workers[0].address)
    workers[0].next = [failure]
    answers = await asyncio.gather(*(client.ask("track", question(n)) for n in range(4)))
    assert [answer.outputs["echo"] for answer in answers] == [0, 1, 2, 3]
    assert workers[0].calls == [4, 1, 1, 1, 1]


async def test_a_failed_call_is_one_failure_of_the_model_however_many_rows_it_had(workers, connect):
    client = await connect(workers[0].address)
    await until_ready(client)
    ready = []

    async def fail(request):
        return await status(503)(request)

    async def look(_):
        ready.append((await client.readiness()).ready)
        return answered({})

    workers[0].next = [fail, look]
    await asyncio.gather(*(client.ask("track", question(n)) for n in range(4)))
    assert ready == [True]


async def test_silence_that_was_no_row_s_fault_is_followed_by_another_shared_call(workers, connect):
    workers[0].next = [workers[0].hang]
    client = await connect(workers[0].address, step_timeout_s=2.0)
    answers = await asyncio.gather(*(client.ask("track", question(n)) for n in range(4)))
    assert [answer.outputs["echo"] for answer in answers] == [0, 1, 2, 3]
    assert max(workers[0].calls[1:]) > 1


async def test_who_waits_for_a_busy_worker_is_not_asked_twice(workers, connect):
    """The wait for the call before and the own call are each shorter than a first try may be."""

    async def slowly(_):
        await asyncio.sleep(1.4)
        return answered({"echo": "slow"})

    workers[0].next = [slowly] * 2
    client = await connect(workers[0].address, step_timeout_s=10.0)
    first = asyncio.create_task(client.ask("track", question()))
    await until(lambda: workers[0].calls)
    second = asyncio.create_task(client.ask("track", question()))
    answers = await asyncio.gather(first, second)
    assert [answer.outputs["echo"] for answer in answers] == ["slow"] * 2
    assert workers[0].calls == [1, 1]


async def test_a_host_with_several_workers_gets_as_many_calls_at_once(workers, connect):
    worker = workers[0]
    worker.workers = 3
    client = await connect(worker.address)
    await until_ready(client)
    worker.next = [worker.hang] * 9
    asking = []
    for n in range(3):
        asking.append(asyncio.create_task(client.ask("track", question(n))))
        await until(lambda: len(worker.calls) == len(asking))
    asking += [asyncio.create_task(client.ask("track", question(n))) for n in (3, 4)]
    await settle()
    assert worker.calls == [1, 1, 1]
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)


async def test_closing_turns_away_who_is_at_work_and_who_waits(workers, connect):
    workers[0].next = [workers[0].hang]
    client = await connect(workers[0].address)
    asking = [asyncio.create_task(client.ask("track", question(n))) for n in range(2)]
    await until(lambda: workers[0].calls)
    asking.append(asyncio.create_task(client.ask("track", question(2))))
    await settle()
    async with asyncio.timeout(MOST_S):
        await client.close()
        for error in await asyncio.gather(*asking, return_exceptions=True):
            assert error.problem is Problem.UNAVAILABLE


async def test_a_reply_that_does_not_fit_the_rows_is_the_service_s_own_fault(workers, connect):
    async def lose(_):
        return web.Response(body=msgpack.packb({"replies": [], "milliseconds": 1.0}))

    workers[0].next = [lose]
    client = await connect(workers[0].address)
    error = await problem_of(client.ask("track", question()))
    assert error.problem is Problem.INTERNAL
