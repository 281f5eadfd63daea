"""A service that is told to stop: sockets get what they are due, clips an answer, nobody waits."""

import asyncio
import re
import signal
import time
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import msgpack
import pytest

from service.inference import Question
from service.inference.loading import Loaded
from service.inference.local import LocalInference
from service.services import Sockets
from tests.service.clip_files import write_clip
from tests.service.counting import CountingTracker, Service, closed, receive, serving, step
from tests.service.feeling import CountingAffect
from tests.serving.crowd import PICTURE
from tests.serving.deployment import ROOT, ServiceProcess
from tests.serving.slowness import slowness
from tests.waiting import MOST_S, until

CLIP_S, QUESTIONS = 2, 6
STORE = ROOT / "model_store"


class SlowAffect:
    """The counting model of affect as a handler that takes its time for a batch."""

    def __init__(self, batch_s: float) -> None:
        self.batch_s = batch_s
        self.asked = self.begun = 0  # questions, and clips whose first one is answered
        self._model = CountingAffect()

    def handle(self, rows: Sequence[Mapping[str, Any]]) -> list[bytes]:
        self.asked += len(rows)
        time.sleep(self.batch_s)
        self.begun += sum(row.get("state") is None for row in rows)
        return [self._answer(row) for row in rows]

    def _answer(self, row: Mapping[str, Any]) -> bytes:
        answer = self._model._count(Question(row["inputs"], row["options"], row.get("state")))
        return bytes(msgpack.packb({"outputs": answer.outputs, "state": answer.state}))

    def describe(self) -> dict[str, Any]:
        return {"name": "affect", "version": "1", "sha256": 64 * "0"}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A clip of two seconds, which is six questions to the model and some sound."""
    path = tmp_path_factory.mktemp("clips") / "a.mp4"
    return write_clip(path, frames=25 * CLIP_S, sound_s=CLIP_S).read_bytes()


async def stop_with_clips(
    handler: SlowAffect, clip: bytes, accept: str, **options: Any
) -> list[httpx.Response]:
    """Stop a service that has four clips at work; return the replies to them."""
    local = LocalInference(lambda: Loaded("cpu", {"affect": handler}))
    headers = {"Content-Type": "video/mp4", "Accept": accept}
    async with asyncio.timeout(MOST_S), httpx.AsyncClient(timeout=MOST_S) as http:
        async with serving(local, **options) as service:
            url = f"http://127.0.0.1:{service.port}/affect"
            posting = [
                asyncio.create_task(http.post(url, content=clip, headers=headers)) for _ in range(4)
            ]
            await until(lambda: handler.begun == 4)
        return await asyncio.gather(*posting)


async def test_clips_at_work_are_finished_where_there_is_time(clip):
    replies = await stop_with_clips(SlowAffect(0.05), clip, "application/json")
    assert [reply.status_code for reply in replies] == [200] * 4
    assert [len(reply.json()["frames"]) for reply in replies] == [25 * CLIP_S] * 4


async def test_clips_that_take_too_long_are_refused_and_the_service_ends_in_time(clip):
    model = SlowAffect(0.7)
    replies = await stop_with_clips(model, clip, "application/json", graceful_stop_s=2)
    assert [reply.status_code for reply in replies] == [503] * 4
    assert model.asked < 4 * QUESTIONS


async def test_a_reply_that_has_begun_ends_with_the_reason(clip):
    model = SlowAffect(0.7)
    replies = await stop_with_clips(model, clip, "application/x-ndjson", graceful_stop_s=2)
    for reply in replies:
        lines = reply.text.splitlines()
        assert reply.status_code == 200
        assert '"type":"error"' in lines[-1].replace(" ", "")
        assert '"status":503' in lines[-1].replace(" ", "")


async def test_a_model_that_never_answers_is_not_waited_for(clip):
    model = CountingAffect()
    model.release = asyncio.Event()
    async with asyncio.timeout(MOST_S), httpx.AsyncClient(timeout=MOST_S) as http:
        async with serving(model, graceful_stop_s=1) as service:
            url = f"http://127.0.0.1:{service.port}/affect"
            headers = {"Content-Type": "video/mp4"}
            posting = asyncio.create_task(http.post(url, content=clip, headers=headers))
            await model.asked.wait()
        reply = await posting
    assert reply.status_code == 503
    assert reply.json()["type"].endswith(":stopping")


async def has_begun(http: httpx.AsyncClient, base: str) -> bool:
    """Whether clips are at work."""
    metrics = (await http.get(f"{base}/metrics")).text
    return any(re.match(r"countenance_clips [1-9]", line) for line in metrics.splitlines())


@pytest.mark.slow
@pytest.mark.skipif(not (STORE / "avi-gas").is_dir(), reason="no weights are shipped yet")
async def test_a_stop_signal_with_clips_at_work_ends_the_real_service_within_twenty_seconds(clip):
    slow = await asyncio.to_thread(slowness)
    service = ServiceProcess({"COUNTENANCE_MODEL_STORE": str(STORE), "COUNTENANCE_DEVICE": "cpu"})
    try:
        await asyncio.to_thread(service.wait_until_ready)
        async with httpx.AsyncClient(timeout=120) as http:
            headers = {"Content-Type": "video/mp4"}
            url = f"{service.base}/affect"
            posting = [
                asyncio.create_task(http.post(url, content=clip, headers=headers)) for _ in range(4)
            ]
            await until(lambda: has_begun(http, service.base))
            started = time.monotonic()
            status = await asyncio.to_thread(service.kill, signal.SIGTERM)
            seconds = time.monotonic() - started
            replies = await asyncio.gather(*posting)
    finally:
        service.process.kill()
    print(f"stopped in {seconds:.1f} s with {[reply.status_code for reply in replies]}")
    assert status in (0, -signal.SIGTERM)
    assert seconds < 20 * slow
    assert {reply.status_code for reply in replies} <= {200, 503}


def sockets_of(service: Service) -> Sockets:
    return service.server._services.sockets


@pytest.mark.parametrize("query", ["", "?drop=false"])
async def test_what_was_sent_before_the_stop_is_answered_before_the_close(query):
    """The frames lie in the connections' buffers: nobody has read them when the stop comes."""
    async with serving(CountingTracker()) as service:
        opened = [await service.open(f"s{n}", query) for n in range(5)]
        for socket in opened:
            assert (await step(socket, PICTURE))["step"] == 1
        for socket in opened:
            socket.protocol.send_binary(PICTURE)
            socket.transport.writelines(socket.protocol.data_to_send())
        stopping = asyncio.create_task(sockets_of(service).stop())
        for socket in opened:
            assert (await receive(socket))["step"] == 2
            assert await closed(socket) == (1012, "stopping")
        await asyncio.wait_for(stopping, MOST_S)


async def test_frames_that_wait_for_room_when_the_stop_comes_are_answered_in_order():
    tracker = CountingTracker(delay_s=0.05)
    async with serving(tracker) as service:
        socket = await service.open(query="?drop=false")
        for _ in range(4):
            await socket.send(PICTURE)
        await asyncio.wait_for(tracker.asked.wait(), MOST_S)
        await service.read(frames=3)
        stopping = asyncio.create_task(sockets_of(service).stop())
        assert [(await receive(socket))["step"] for _ in range(4)] == [1, 2, 3, 4]
        assert await closed(socket) == (1012, "stopping")
        await asyncio.wait_for(stopping, MOST_S)
