"""The client to the workers: one repeat, another host, bounds, and what the asker is told."""

import asyncio
import time

import pytest

from service.errors import Problem, ServiceError
from service.inference import Question
from tests.serving.workers import answered, refused, reset, status
from tests.waiting import MOST_S, until


def question(echo: object = 1, state: bytes | None = None) -> Question:
    return Question({"echo": echo}, {}, state)


async def problem_of(asking) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        await asking
    return caught.value


async def test_a_question_comes_back_answered_with_its_state(workers, connect):
    client = await connect(workers[0].address)
    answer = await client.ask("track", question(b"x", b"state"))
    assert (answer.outputs["echo"], answer.state) == (b"x", b"state")


async def test_a_question_of_many_megabytes_arrives_whole(workers, connect):
    client = await connect(workers[0].address)
    large = bytes(range(256)) * 2**15
    assert (await client.ask("track", question(large))).outputs["echo"] == large


@pytest.mark.parametrize("failure", [status(500), status(503), status(507), reset])
async def test_a_failure_is_repeated_at_the_other_host_and_nobody_notices(
    workers, connect, failure
):
    client = await connect(*(worker.address for worker in workers))
    workers[0].next = [failure]
    answers = [await client.ask("track", question(n)) for n in range(4)]
    assert [answer.outputs["echo"] for answer in answers] == [0, 1, 2, 3]


async def test_the_repeat_goes_to_another_host_than_the_failure(workers, connect):
    first, second = workers
    first.next = [status(503)] * 9
    second.next = [status(503)] * 9
    client = await connect(first.address, second.address)
    await problem_of(client.ask("track", question()))
    assert (first.questions, second.questions) == (1, 1)


async def test_a_single_host_is_asked_again_itself(workers, connect):
    workers[0].next = [status(507)]
    client = await connect(workers[0].address)
    assert (await client.ask("track", question(5))).outputs["echo"] == 5
    assert workers[0].questions == 2


@pytest.mark.parametrize(
    ("failure", "problem"),
    [
        (status(503), Problem.UNAVAILABLE),
        (status(503, "ServiceUnavailableException"), Problem.OVERLOADED),
        (status(507), Problem.UNAVAILABLE),
        (reset, Problem.UNAVAILABLE),
    ],
)
async def test_a_second_failure_is_told_with_a_time_to_come_again(
    workers, connect, failure, problem
):
    workers[0].next = [failure] * 9
    client = await connect(workers[0].address)
    error = await problem_of(client.ask("track", question()))
    assert (error.problem, error.headers) == (problem, {"Retry-After": "1"})
    assert workers[0].questions == 2
    assert str(workers[0].path) not in error.detail


async def test_what_a_model_refuses_is_the_asker_s_mistake_and_not_repeated(workers, connect):
    async def refuse(_):
        return refused("truncated-image", "cut short")

    workers[0].next = [refuse]
    client = await connect(workers[0].address)
    error = await problem_of(client.ask("track", question()))
    assert (error.problem, error.detail) == (Problem.TRUNCATED_IMAGE, "cut short")
    assert workers[0].questions == 1


async def test_a_model_that_is_not_loaded_at_one_host_is_asked_at_the_other(workers, connect):
    async def unloaded(_):
        return refused("unavailable", "the weights do not fit")

    workers[0].next = [unloaded] * 9
    client = await connect(*(worker.address for worker in workers))
    for n in range(4):
        assert (await client.ask("track", question(n))).outputs["at"] == "b"


async def test_a_message_that_is_too_large_for_the_workers_is_not_sent_twice(workers, connect):
    workers[0].next = [status(413)]
    client = await connect(workers[0].address)
    error = await problem_of(client.ask("track", question()))
    assert (error.problem, workers[0].questions) == (Problem.BODY_TOO_LARGE, 1)


async def test_a_silent_first_try_leaves_time_for_the_second(workers, connect):
    workers[0].next = [workers[0].hang]
    client = await connect(workers[0].address, step_timeout_s=4.0)
    started = time.monotonic()
    assert (await client.ask("track", question(3))).outputs["echo"] == 3
    assert time.monotonic() - started > 0.9


async def test_silence_throughout_ends_with_the_whole_time(workers, connect):
    workers[0].next = [workers[0].hang] * 2
    client = await connect(workers[0].address, step_timeout_s=0.8)
    started = time.monotonic()
    error = await problem_of(client.ask("track", question()))
    assert error.problem is Problem.TIMEOUT
    assert time.monotonic() - started > 0.7


async def test_hosts_that_are_away_cost_no_try(workers, connect, short):
    away = [f"unix:{short / name}" for name in ("x", "y", "z")]
    workers[0].next = [status(503)]
    client = await connect(*away, workers[0].address)
    assert (await client.ask("track", question(7))).outputs["echo"] == 7


async def test_everybody_away_is_told_at_once(connect, short):
    client = await connect(f"unix:{short / 'x'}", f"unix:{short / 'y'}", step_timeout_s=3 * MOST_S)
    async with asyncio.timeout(MOST_S):
        error = await problem_of(client.ask("track", question()))
    assert (error.problem, error.headers["Retry-After"]) == (Problem.UNAVAILABLE, "1")


async def test_a_host_that_comes_back_is_used_again(workers, connect):
    client = await connect(workers[0].address)
    await client.ask("track", question())
    await workers[0].stop()
    await problem_of(client.ask("track", question()))
    workers[0].path.unlink(missing_ok=True)
    await workers[0].start()
    assert (await client.ask("track", question(2))).outputs["echo"] == 2


async def test_the_idler_host_gets_the_next_question(workers, connect):
    first, second = workers
    for worker in workers:
        worker.next = [worker.hang]
    client = await connect(first.address, second.address)
    asking = [asyncio.create_task(client.ask("track", question())) for _ in range(2)]
    await until(lambda: first.questions + second.questions >= 2)
    assert (first.questions, second.questions) == (1, 1)
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)


async def test_more_questions_than_allowed_are_turned_away_and_places_come_back(workers, connect):
    worker = workers[0]
    worker.next = [worker.hang] * 2
    client = await connect(worker.address, max_questions=2)
    asking = [asyncio.create_task(client.ask("track", question())) for _ in range(2)]
    await until(lambda: worker.questions >= 2)
    error = await problem_of(client.ask("track", question()))
    assert (error.problem, error.headers) == (Problem.OVERLOADED, {"Retry-After": "1"})
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    assert (await client.ask("track", question(4))).outputs["echo"] == 4


async def test_who_goes_away_takes_the_connection_along(workers, connect):
    worker = workers[0]
    worker.next = [worker.hang]
    client = await connect(worker.address)
    asking = asyncio.create_task(client.ask("track", question()))
    await until(lambda: worker.questions)
    asking.cancel()
    await asyncio.wait_for(worker.left.wait(), MOST_S)
    assert worker.questions == 1


async def test_many_questions_at_once_keep_to_themselves(workers, connect):
    async def late(request):
        await asyncio.sleep(0.05)
        return answered({"echo": "late"})

    workers[0].next = [late] * 3
    client = await connect(*(worker.address for worker in workers))
    answers = await asyncio.gather(*(client.ask("track", question(n)) for n in range(60)))
    echoed = [answer.outputs["echo"] for answer in answers]
    assert all(echo in ("late", n) for n, echo in enumerate(echoed))
