"""A clip at work takes a place, a process and files, and gives all back however it ends."""

import asyncio
import resource
import socket
from pathlib import Path

import httpx
import pytest

from service.app import create_app
from service.errors import URN
from service.settings import Settings
from tests.service.clip_files import write_clip
from tests.service.clip_posts import NDJSON, children, open_files, post
from tests.service.counting import serving
from tests.service.feeling import CountingAffect
from tests.waiting import MOST_S, until


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="module")
def clip(folder: Path) -> bytes:
    """A clip of four seconds."""
    return write_clip(folder / "a.mkv", frames=100, sound_s=4.0).read_bytes()


async def test_a_clip_more_than_fits_is_told_to_come_back(model, clip):
    model.release = asyncio.Event()
    async with serving(model, max_clips=1) as service:
        first = asyncio.create_task(service.http.post("/affect", content=clip, timeout=MOST_S))
        await asyncio.wait_for(model.asked.wait(), MOST_S)
        second = await service.http.post("/affect", content=clip)
        model.release.set()
        assert (await first).status_code == 200
        third = await service.http.post("/affect", content=clip, timeout=MOST_S)
    assert (second.status_code, second.json()["type"]) == (503, URN + "overloaded")
    assert int(second.headers["retry-after"]) >= 1
    assert third.status_code == 200


@pytest.mark.parametrize("accept", ["application/json", "application/x-ndjson"])
async def test_a_client_that_hangs_up_stops_the_work_and_leaves_nothing(model, clip, accept):
    model.release = asyncio.Event()
    before = children()
    async with serving(model) as service:
        files = open_files()
        sending = asyncio.create_task(
            service.http.post("/affect", content=clip, headers={"Accept": accept})
        )
        await asyncio.wait_for(model.asked.wait(), MOST_S)
        assert len(children() - before) == 1
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        await until(lambda: not children() - before)
        await until(service.has_no_clips)
        assert model.steps == 1
        assert open_files() <= files + 2  # a connection that is kept


class Wordy(CountingAffect):
    """Its frames are long, so that few of them fit into what a connection holds."""

    def _count(self, question):
        answer = super()._count(question)
        for frame in answer.outputs["frames"]:
            for name in ("attention", "attention_ages_s"):
                frame[name] = [0.12345] * 4000
        return answer


async def test_a_client_that_does_not_read_gives_its_place_back(clip):
    """Its lines do not fit into what the connection holds, and are not waited with for ever."""
    model = Wordy()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        async with serving(model, socket_send_s=0.3) as service:
            client.connect(("127.0.0.1", service.port))
            client.setblocking(False)
            head = f"POST /affect HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(clip)}\r\n"
            sent = f"{head}Accept: application/x-ndjson\r\n\r\n".encode() + clip
            await asyncio.get_running_loop().sock_sendall(client, sent)
            await asyncio.wait_for(model.asked.wait(), MOST_S)
            await until(service.has_no_clips)
            assert model.steps < 13
            client.close()


async def test_a_disk_without_room_is_told_and_not_a_fault(model, folder):
    data = write_clip(folder / "big.wav", sound_s=120.0).read_bytes()
    files = {"clip": ("a.wav", data, "audio/wav")}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    transport = httpx.ASGITransport(create_app(Settings(), model))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
        try:
            replies = [
                await http.post("/affect", content=data),
                await http.post("/affect", files=files),
            ]
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    for reply in replies:
        assert (reply.status_code, reply.json()["type"]) == (503, URN + "overloaded")
        assert reply.headers["retry-after"]


@pytest.mark.slow
async def test_clips_of_all_ends_leave_no_process_and_no_file(model, clip):
    ends = {
        "whole": (clip, {}),
        "cut": (clip[: len(clip) // 2], {}),
        "too long": (clip, {"max_clip_s": 1.0}),
        "no clip": (b"hello", {}),
        "too large": (clip, {"max_clip_bytes": 10}),
        "stalled": (clip, {"clip_stall_s": 0.001}),
    }
    await post(model, clip)
    before, files = children(), open_files()
    for data, options in ends.values():
        assert (await post(model, data, NDJSON, options)).status_code in (200, 413, 415, 422)
    model.fails_at = model.steps + 2
    await post(model, clip)
    assert children() == before
    assert open_files() <= files


@pytest.mark.slow
async def test_memory_does_not_grow_with_the_length_of_a_clip(folder):
    """The service's own share: the reply's JSON, not the clip."""
    short = write_clip(folder / "short.mp4", frames=250, sound_s=10.0).read_bytes()
    long = write_clip(folder / "long.mp4", frames=15_000, sound_s=600.0).read_bytes()
    await post(CountingAffect(), short)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    model = CountingAffect()
    model.moments = Forgetful()
    model.heard = Forgetful()
    reply = await post(model, long)
    assert len(reply.json()["frames"]) == 15_000
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 250


class Forgetful(list):
    """Keeps nothing of what is appended."""

    def append(self, item: object) -> None:
        pass
