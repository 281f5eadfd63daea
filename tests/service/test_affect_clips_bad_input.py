"""What POST /affect refuses and how, and what it tells of a clip that fails on the way."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest

from service.app import create_app
from service.errors import URN
from service.settings import Settings
from tests.service.clip_files import write_clip
from tests.service.clip_posts import NDJSON, post
from tests.service.counting import serving
from tests.service.feeling import CountingAffect


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="module")
def clip(folder: Path) -> bytes:
    """A clip of four seconds."""
    return write_clip(folder / "a.mkv", frames=100, sound_s=4.0).read_bytes()


@pytest.fixture(scope="module")
def many_tracks(folder: Path) -> bytes:
    return write_clip(folder / "tracks.mkv", frames=2, sound_s=0.05, sounds=40).read_bytes()


@pytest.mark.parametrize(
    ("data", "status", "slug", "named"),
    [
        (b"", 422, "empty-body", "no bytes"),
        (b"what a laugh this is\n" * 50, 415, "not-a-clip", "text that begins"),
        (b"\x89PNG\r\n\x1a\n" + bytes(400), 415, "not-a-clip", "PNG"),
        (b"\0\0\0\x18ftypisom\0\0\2\0isomiso2", 422, "invalid-clip", "MP4"),
    ],
)
async def test_bytes_that_are_no_clip_are_refused_by_name(model, data, status, slug, named):
    reply = await post(model, data, {"Content-Type": "video/mp4"})
    assert (reply.status_code, reply.json()["type"]) == (status, URN + slug)
    assert reply.headers["content-type"] == "application/problem+json"
    assert named in reply.json()["detail"]
    assert model.steps == 0


@pytest.mark.parametrize(
    ("options", "slug", "named"),
    [
        ({"max_clip_s": 3.0}, "clip-too-long", "at most 3 s"),
        ({"max_clip_frames": 50}, "clip-too-long", "more than 50 frames"),
        ({"max_clip_pixels": 3000}, "too-many-pixels", "at most 3000"),
    ],
)
async def test_too_much_of_a_clip_is_refused_with_the_limit(model, clip, options, slug, named):
    for headers in (None, NDJSON):
        reply = await post(model, clip, headers, options)
        last = reply.json() if reply.status_code == 422 else json.loads(reply.text.split("\n")[-2])
        problem = last.get("error", last)
        assert problem["type"] == URN + slug
        assert named in problem["detail"]


async def test_too_many_tracks_are_refused_with_the_limit(model, many_tracks):
    reply = await post(model, many_tracks)
    assert (reply.status_code, reply.json()["type"]) == (422, URN + "too-many-streams")
    assert "more than 32 streams" in reply.json()["detail"]


async def test_a_file_that_is_too_large_is_refused_while_it_comes(model, clip):
    reply = await post(model, clip, options={"max_clip_bytes": 1000})
    assert (reply.status_code, reply.json()["type"]) == (413, URN + "body-too-large")
    assert "1000 bytes" in reply.json()["detail"]

    async def undeclared():
        for _ in range(10):
            yield bytes(500)

    assert (await post(model, undeclared(), options={"max_clip_bytes": 1000})).status_code == 413


@pytest.mark.parametrize(
    ("headers", "status", "slug"),
    [
        ({"Content-Type": "text/plain"}, 415, "unsupported-media-type"),
        ({"Content-Type": "image/jpeg"}, 415, "not-an-image"),
        ({"Content-Type": "multipart/form-data"}, 422, "invalid-multipart"),
        ({"Accept": "image/png"}, 406, "not-acceptable"),
    ],
)
async def test_types_that_are_not_read_or_written_are_refused(model, clip, headers, status, slug):
    reply = await post(model, clip, headers)
    assert (reply.status_code, reply.json()["type"]) == (status, URN + slug)


@pytest.mark.parametrize(
    "query", [{"rate_hz": 0}, {"rate_hz": "nan"}, {"rate_hz": 1000}, {"step": 1}, {"variant": "/"}]
)
async def test_a_query_that_does_not_fit_is_refused(model, clip, query):
    reply = await post(model, clip, **query)
    assert (reply.status_code, reply.json()["type"]) == (422, URN + "invalid-request")


async def test_a_form_without_the_clip_is_refused_by_the_name_of_the_field(model, clip):
    transport = httpx.ASGITransport(create_app(Settings(), model))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        reply = await http.post("/affect", files={"film": ("a.mkv", clip)})
    assert (reply.status_code, reply.json()["type"]) == (422, URN + "invalid-multipart")
    assert "`clip`" in reply.json()["detail"]


async def test_what_fails_before_the_first_line_is_a_problem(model, clip):
    model.fails_at = 1
    reply = await post(model, clip, NDJSON)
    assert (reply.status_code, reply.json()["type"]) == (503, URN + "overloaded")
    assert reply.headers["content-type"] == "application/problem+json"


async def test_what_fails_later_is_the_last_line(model, clip):
    model.fails_at = 3
    reply = await post(model, clip, NDJSON)
    lines = [json.loads(line) for line in reply.text.splitlines()]
    assert reply.status_code == 200
    assert [line["type"] for line in lines] == ["clip", *["frame"] * 10, "error"]
    assert (lines[-1]["error"]["type"], lines[-1]["error"]["status"]) == (URN + "overloaded", 503)
    assert (await post(model, clip)).status_code == 503


async def test_a_fault_in_the_middle_is_told_without_its_details(model, clip, caplog):
    class Faulty(CountingAffect):
        async def ask(self, name, question):
            if self.steps == 2:
                raise RuntimeError("secret path")
            return await super().ask(name, question)

    reply = await post(Faulty(), clip, NDJSON)
    last = json.loads(reply.text.splitlines()[-1])
    assert (last["type"], last["error"]["type"]) == ("error", URN + "internal")
    assert "secret" not in reply.text
    assert "secret path" in caplog.text


async def test_a_damaged_middle_is_answered_as_far_as_it_goes(model, clip):
    middle = len(clip) // 2
    reply = await post(model, clip[:middle] + bytes(2000) + clip[middle + 2000 :])
    body = reply.json()
    assert reply.status_code == 200
    assert any("there is no picture for" in note for note in body["notes"])
    assert body["clip"]["decoded_frames"] > 40
    assert len(body["frames"]) == body["clip"]["used_frames"]
    assert not body["clip"]["complete"]


async def test_the_first_line_comes_before_the_last_frame_is_looked_at(model, clip):
    async with serving(model) as service:
        sending = service.http.stream("POST", "/affect", content=clip, headers=NDJSON)
        async with sending as reply:
            lines = reply.aiter_lines()
            assert json.loads(await anext(lines))["type"] == "clip"
            model.release = asyncio.Event()
            assert model.steps < 13
            model.release.set()
            assert json.loads([line async for line in lines][-1])["type"] == "summary"
