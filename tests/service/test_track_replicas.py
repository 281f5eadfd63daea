"""Several service processes on one Redis: which of them takes a frame changes no number."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from websockets.asyncio.client import connect

from tests.service.counting import (
    CountingTracker,
    Service,
    box,
    closed,
    expected_boxes,
    frames,
    headed,
    receive,
    serving,
    step,
)
from tests.sources import ROOT
from tests.waiting import MOST_S

CLIP = frames(12)


@pytest.fixture
async def replicas(redis_server) -> AsyncIterator[tuple[Service, Service]]:
    async with (
        serving(CountingTracker(), redis_url=redis_server.url, store_timeout_s=MOST_S) as one,
        serving(CountingTracker(), redis_url=redis_server.url, store_timeout_s=MOST_S) as two,
    ):
        yield one, two


async def test_a_client_that_hops_frame_by_frame_gets_the_numbers_of_one_service(replicas):
    replies = []
    for n, frame in enumerate(CLIP):
        async with replicas[n % 2].open() as socket:
            replies.append(await step(socket, headed(*frame)))
    assert [box(reply) for reply in replies] == expected_boxes(CLIP)
    assert [reply["step"] for reply in replies] == list(range(1, 13))


async def test_posted_frames_may_go_to_any_replica_in_turn(replicas):
    replies = []
    for n, (image, time_s) in enumerate(CLIP):
        reply = await replicas[n % 2].post(image, time_s=time_s, step=n + 1)
        replies.append(reply.json())
    assert [box(reply) for reply in replies] == expected_boxes(CLIP)


async def test_sockets_and_posts_may_take_turns(replicas):
    replies = []
    for n, (image, time_s) in enumerate(CLIP):
        service = replicas[n // 2 % 2]
        if n % 2:
            replies.append((await service.post(image, time_s=time_s)).json())
        else:
            async with service.open() as socket:
                replies.append(await step(socket, headed(image, time_s)))
    assert [box(reply) for reply in replies] == expected_boxes(CLIP)


async def test_a_repeat_at_another_replica_returns_the_reply_of_the_first(replicas):
    one, two = replicas
    first = await one.post(CLIP[0][0], time_s=0, step=1)
    again = await two.post(CLIP[0][0], time_s=0, step=1)
    assert again.content == first.content


async def test_interleaved_sessions_over_replicas_are_separate_ones(replicas):
    clips = {"a": CLIP[:6], "b": CLIP[6:]}
    replies: dict[str, list[dict]] = {"a": [], "b": []}
    for n in range(6):
        for which, (name, clip) in enumerate(clips.items()):
            async with replicas[(n + which) % 2].open(name) as socket:
                replies[name].append(await step(socket, headed(*clip[n])))
    for name, clip in clips.items():
        assert [box(reply) for reply in replies[name]] == expected_boxes(clip)


async def test_the_newer_socket_wins_wherever_it_is(replicas):
    one, two = replicas
    async with one.open() as older, two.open() as newer:
        first = await step(newer, headed(*CLIP[0]))
        await older.send(headed(*CLIP[1]))
        assert await closed(older) == (4409, "session-taken")
        second = await step(newer, headed(*CLIP[2]))
    assert [box(first), box(second)] == expected_boxes([CLIP[0], CLIP[2]])


async def test_a_post_takes_the_session_from_a_socket_which_is_told(replicas):
    one, two = replicas
    async with one.open() as socket:
        await step(socket, headed(*CLIP[0]))
        assert (await two.post(CLIP[1][0], time_s=CLIP[1][1])).json()["step"] == 2
        await socket.send(headed(*CLIP[2]))
        assert await closed(socket) == (4409, "session-taken")


async def test_a_replica_that_stops_hands_its_sessions_to_the_next(redis_server):
    tracker = CountingTracker()
    async with serving(
        CountingTracker(), redis_url=redis_server.url, store_timeout_s=MOST_S
    ) as two:
        async with (
            serving(tracker, redis_url=redis_server.url, store_timeout_s=MOST_S) as one,
            one.open(query="?drop=false") as socket,
        ):
            tracker.delay_s = 0.2
            await socket.send(headed(*CLIP[0]))
            await asyncio.wait_for(tracker.asked.wait(), MOST_S)
            one.server.should_exit = True
            replies = [await receive(socket)]
            assert await closed(socket) == (1012, "stopping")
        async with two.open() as socket:
            replies += [await step(socket, headed(*frame)) for frame in CLIP[1:4]]
    assert [box(reply) for reply in replies] == expected_boxes(CLIP[:4])


@asynccontextmanager
async def process(redis_url: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Run a service in a process of its own; yields it and the address of its sockets."""
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.service.counting_process",
        redis_url,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert running.stdout is not None
    port = int(await asyncio.wait_for(running.stdout.readline(), MOST_S))
    try:
        yield running, f"ws://127.0.0.1:{port}/track/s"
    finally:
        if running.returncode is None:
            running.kill()
        await running.wait()


@pytest.mark.slow
async def test_a_second_process_goes_on_where_a_killed_one_was(redis_server):
    async with AsyncExitStack() as stack:
        starting = [stack.enter_async_context(process(redis_server.url)) for _ in range(2)]
        one, two = [await started for started in starting]
        replies = []
        for n in range(8):
            async with connect((one, two)[n % 2][1], proxy=None) as socket:
                replies.append(await step(socket, headed(*CLIP[n])))
        async with connect(one[1], proxy=None) as socket:
            replies.append(await step(socket, headed(*CLIP[8])))
            one[0].kill()
            await one[0].wait()
        async with connect(two[1], proxy=None) as socket:
            replies.append(await step(socket, headed(*CLIP[9])))
            two[0].send_signal(signal.SIGTERM)
            assert await closed(socket) == (1012, "stopping")
        assert await asyncio.wait_for(two[0].wait(), MOST_S) in (0, -signal.SIGTERM)
    assert [box(reply) for reply in replies] == expected_boxes(CLIP[:10])
