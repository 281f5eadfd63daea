"""POST /track: a clip through the steps of a session, answered in three ways."""

import asyncio
import csv
import io
import json
from pathlib import Path

import httpx
import pytest

from service.app import create_app
from service.errors import URN
from service.settings import Settings
from service.track.replies import TrackClipReply
from tests.service.clip_files import write_clip
from tests.service.clip_posts import children, open_files
from tests.service.counting import CountingTracker, serving
from tests.waiting import MOST_S, until

NDJSON = "application/x-ndjson"


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return clips: one second, frames at odd times, a large one, sound alone."""
    folder = tmp_path_factory.mktemp("clips")
    paths: dict[str, Path] = {
        "plain": write_clip(folder / "a.mp4"),
        "uneven": write_clip(folder / "b.mkv", frames=4, times=[0, 40, 200, 240], sound_s=None),
        "large": write_clip(folder / "large.mp4", frames=2, size=(2560, 1440), sound_s=None),
        "sound": write_clip(folder / "a.wav"),
    }
    return {name: path.read_bytes() for name, path in paths.items()}


@pytest.fixture
def tracker() -> CountingTracker:
    return CountingTracker()


@pytest.fixture
async def http(tracker):
    transport = httpx.ASGITransport(create_app(Settings(), tracker))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


async def post(http, data, accept="application/json", media_type="video/mp4", **query):
    headers = {"Accept": accept, "Content-Type": media_type}
    return await http.post("/track", content=data, headers=headers, params=query)


async def test_a_clip_is_one_session_whose_frames_are_all_answered_in_order(http, tracker, clips):
    reply = await post(http, clips["plain"])
    body = reply.json()
    TrackClipReply.model_validate(body)
    assert (reply.status_code, body["status"], body["variant"]) == (200, "ok", "dcrt")
    assert [frame["frame"] for frame in body["frames"]] == list(range(1, 26))
    sides = [frame["faces"][0]["box"][2] - frame["faces"][0]["box"][0] for frame in body["frames"]]
    assert sides == list(range(1, 26)), "the state goes from each frame to the next"
    assert tracker.steps == 25
    assert body["summary"] == {
        **{"faces": 1, "frames_with_face": 25, "frames_lost": 0, "frames_without": 0},
        "blinks": [],
    }


async def test_frames_have_their_own_times_and_the_numbers_of_the_file(http, clips):
    body = (await post(http, clips["uneven"])).json()
    times = [frame["time_s"] for frame in body["frames"]]
    assert times == pytest.approx([0, 0.04, 0.2, 0.24], abs=0.001)
    fewer = (await post(http, clips["plain"], rate_hz=5)).json()
    assert [frame["frame"] for frame in fewer["frames"]][:5] == [1, 6, 11, 16, 21]
    assert (fewer["rate_hz"], body["rate_hz"]) == (5.0, None)


async def test_lines_come_as_they_are_known_and_end_with_the_summary(http, clips):
    reply = await post(http, clips["plain"], accept=NDJSON)
    lines = [json.loads(line) for line in reply.text.splitlines()]
    assert [line["type"] for line in lines] == ["clip", *["frame"] * 25, "summary"]
    assert lines[-1]["clip"]["used_frames"] == 25


async def test_a_table_has_the_columns_of_openface_and_a_row_a_face(http, clips):
    reply = await post(http, clips["plain"], accept="text/csv")
    rows = list(csv.DictReader(io.StringIO(reply.text)))
    first = ("frame", "face_id", "timestamp", "confidence", "success")
    assert tuple(rows[0])[:5] == first
    assert [rows[24][name] for name in first] == ["25", "1", "0.96", "0.5", "1"]
    assert {"pose_Rx", "x_67", "y_0", "status", "variant"} <= set(rows[0])


async def test_options_reach_the_model_and_faces_the_pixels_of_the_clip(http, tracker, clips):
    query = {"max_faces": 8, "min_face_px": 80, "smoothing": "true", "variant": "crt"}
    reply = await post(http, clips["large"], **query)
    asked = tracker.last
    assert asked.inputs["image"]["shape"] == [1080, 1920, 3]
    assert (asked.options["max_faces"], asked.options["min_face_px"]) == (8, 60)
    assert (asked.options["smoothing"], asked.options["variant"]) == (True, "crt")
    face = reply.json()["frames"][0]["faces"][0]
    side = face["box"][2] - face["box"][0]
    assert side == pytest.approx(1 / 0.75, abs=0.02)
    assert face["landmarks"][0] == pytest.approx(face["box"][:2], abs=0.02)


@pytest.mark.parametrize(
    "query", [{"max_faces": 9}, {"rate_hz": 0}, {"min_face_px": 19}, {"delay_s": 1}, {"step": 1}]
)
async def test_a_query_that_does_not_fit_is_refused(http, clips, query):
    reply = await post(http, clips["plain"], **query)
    assert (reply.status_code, reply.json()["type"]) == (422, URN + "invalid-request")
    assert next(iter(query)) in reply.text


async def test_sound_alone_has_no_faces_to_follow(http, clips):
    reply = await post(http, clips["sound"], media_type="audio/wav")
    assert (reply.status_code, reply.json()["type"]) == (422, URN + "empty-clip")


async def test_what_fails_in_the_middle_is_the_last_line(http, tracker, clips):
    async def fail_later(model, question, ask=tracker.ask):
        if tracker.steps == 9:
            raise RuntimeError("secret path")
        return await ask(model, question)

    tracker.ask = fail_later
    reply = await post(http, clips["plain"], accept=NDJSON)
    last = json.loads(reply.text.splitlines()[-1])
    assert (last["type"], last["error"]["type"]) == ("error", URN + "internal")
    assert "secret" not in reply.text


async def test_a_client_that_hangs_up_stops_the_work_and_leaves_nothing(tracker, clips):
    tracker.gate = asyncio.Event()
    before = children()
    async with serving(tracker) as service:
        files = open_files()
        sending = asyncio.create_task(service.http.post("/track", content=clips["plain"]))
        await asyncio.wait_for(tracker.asked.wait(), MOST_S)
        assert len(children() - before) == 1
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        await until(lambda: not children() - before)
        await until(service.has_no_clips)
        assert tracker.steps == 1
        assert open_files() <= files + 2  # a connection that is kept
