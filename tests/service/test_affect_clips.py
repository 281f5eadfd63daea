"""POST /affect: a clip through the steps of a session, answered in four ways."""

import csv
import io
import json
from pathlib import Path
from xml.etree import ElementTree

import httpx
import pytest

from service.affect.replies import AffectClipReply
from service.affect.sounds import to_samples
from service.app import create_app
from service.errors import URN
from service.media.clips.contents import RATE_HZ
from service.settings import Settings
from tests.service.clip_files import write_clip
from tests.service.feeling import CountingAffect

SVG = "{http://www.w3.org/2000/svg}"
Clips = dict[str, bytes]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    """Return clips of one second: with sound, without, sound alone, and a large one."""
    folder = tmp_path_factory.mktemp("clips")
    paths: dict[str, Path] = {
        "mp4": write_clip(folder / "a.mp4"),
        "silent": write_clip(folder / "silent.webm", sound_s=None),
        "wav": write_clip(folder / "a.wav"),
        "large": write_clip(folder / "large.mp4", frames=3, size=(1280, 960), sound_s=None),
    }
    return {name: path.read_bytes() for name, path in paths.items()}


@pytest.fixture
async def http(model):
    transport = httpx.ASGITransport(create_app(Settings(), model))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


async def post(http, data, accept="application/json", media_type="video/mp4", **query):
    headers = {"Accept": accept, "Content-Type": media_type}
    return await http.post("/affect", content=data, headers=headers, params=query)


async def test_a_clip_is_one_session_whose_frames_are_all_answered_in_order(http, model, clips):
    reply = await post(http, clips["mp4"])
    body = reply.json()
    AffectClipReply.model_validate(body)
    assert (reply.status_code, reply.headers["content-type"]) == (200, "application/json")
    assert [frame["time_s"] for frame in body["frames"]] == pytest.approx(
        [number / 25 for number in range(25)], abs=0.001
    )
    counts = [len(frame["attention"]) for frame in body["frames"]]
    assert counts == [*range(1, 8), *[8] * 18]
    assert (body["status"], body["variant"], body["rate_hz"]) == ("ok", "avi-gas", 25.0)
    assert [len(question) for question in _asked(model)] == [8, 8, 8, 1]


def _asked(model: CountingAffect) -> list[list[float]]:
    times = [time_s for time_s, _ in model.moments]
    return [times[at : at + 8] for at in range(0, len(times), 8)]


async def test_pictures_travel_as_pixels_and_sound_runs_ahead_without_a_gap(http, model, clips):
    await post(http, clips["mp4"])
    _, picture = model.moments[0]
    assert (picture["dtype"], picture["shape"]) == ("uint8", [48, 64, 3])
    assert len(picture["data"]) == 48 * 64 * 3
    ends = [start + len(pcm) // 2 for start, pcm in model.heard]
    assert [start for start, _ in model.heard][1:] == ends[:-1]
    assert ends[-1] == pytest.approx(RATE_HZ, abs=RATE_HZ * 0.1)
    assert all(frame["used"] == ["face", "voice"] for frame in (await _frames(http, clips)))


async def _frames(http, clips):
    return (await post(http, clips["mp4"])).json()["frames"]


async def test_the_reply_tells_what_was_read(http, clips):
    body = (await post(http, clips["mp4"])).json()
    clip, sound = body["clip"], body["clip"]["sound"]
    assert (clip["format"], clip["width"], clip["height"], clip["rotation_deg"]) == (
        *("mp4", 64, 48),
        0,
    )
    assert (clip["decoded_frames"], clip["expected_frames"], clip["used_frames"]) == (25, 25, 25)
    assert clip["complete"]
    assert (sound["sample_rate_hz"], sound["channels"]) == (44_100, 1)
    assert sound["decoded_s"] == pytest.approx(1.0, abs=0.1)
    assert {"open", "read", "ask", "affect", "total"} <= body["timings_ms"].keys()


async def test_the_summary_is_that_of_the_frames(http, clips):
    body = (await post(http, clips["mp4"])).json()
    summary, frames = body["summary"], body["frames"]
    valence = [frame["valence"] for frame in frames]
    mean = sum(valence) / len(valence)
    variance = sum((value - mean) ** 2 for value in valence) / len(valence)
    assert summary["valence"]["mean"] == pytest.approx(mean, abs=1e-4)
    assert summary["valence"]["std"] == pytest.approx(variance**0.5, abs=1e-4)
    assert summary["valence"]["max"] == max(valence)
    assert summary["seconds"]["positive-active"] == pytest.approx(1.0, abs=0.001)
    assert summary["seconds"]["negative-passive"] == 0
    assert (summary["share_with_face"], summary["share_with_voice"]) == (1, 1)
    assert summary["gate_mean"] == 0.5


async def test_sound_alone_is_estimated_at_the_working_rate(http, model, clips):
    body = (await post(http, clips["wav"], media_type="audio/wav", rate_hz=10)).json()
    assert [frame["time_s"] for frame in body["frames"]][:3] == pytest.approx([0, 0.1, 0.2])
    assert {frame for _, frame in model.moments} == {None}
    assert (body["clip"]["width"], body["clip"]["expected_frames"]) == (None, None)
    assert body["summary"]["share_with_face"] == 0
    assert body["summary"]["share_with_voice"] > 0.9


async def test_a_clip_without_sound_is_estimated_from_faces(http, model, clips):
    body = (await post(http, clips["silent"], media_type="video/webm")).json()
    assert body["clip"]["sound"] is None
    assert (body["summary"]["share_with_voice"], body["summary"]["gate_mean"]) == (0, 1)
    assert model.heard == []


async def test_the_working_rate_thins_a_clip_out(http, clips):
    body = (await post(http, clips["silent"], rate_hz=5)).json()
    assert (body["rate_hz"], body["clip"]["decoded_frames"]) == (5, 25)
    times_s = [frame["time_s"] for frame in body["frames"]]
    assert times_s[:5] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])
    assert len(times_s) <= 6


async def test_boxes_are_pixels_of_the_clip_and_so_is_the_smallest_face(http, model, clips):
    body = (await post(http, clips["large"], min_face_px=60)).json()
    assert model.moments[0][1]["shape"] == [480, 640, 3]
    assert body["frames"][0]["face"]["box"] == [20.5, 16.5, 60.5, 64.5]
    assert model.last.options["min_face_px"] == 30


async def test_a_clip_may_come_as_a_form(http, clips):
    files = {"clip": ("a.mp4", clips["mp4"], "video/mp4")}
    reply = await http.post("/affect", files=files, params={"variant": "vi-des"})
    assert len(reply.json()["frames"]) == 25


async def test_options_reach_the_model(http, model, clips):
    await post(http, clips["silent"], rate_hz=2, variant="vi-des", min_face_px=50)
    assert model.last.options["variant"] == "vi-des"
    assert model.last.options["min_face_px"] == 50


async def test_lines_are_the_clip_its_frames_and_a_summary(http, clips):
    reply = await post(http, clips["mp4"], accept="application/x-ndjson")
    lines = [json.loads(line) for line in reply.text.splitlines()]
    body = (await post(http, clips["mp4"])).json()
    assert reply.headers["content-type"] == "application/x-ndjson"
    assert [line["type"] for line in lines] == ["clip", *["frame"] * 25, "summary"]
    assert (lines[0]["format"], lines[0]["variant"], lines[0]["complete"]) == (
        *("mp4", "avi-gas"),
        None,
    )
    assert [{**line, "type": None} for line in lines[1:-1]] == [
        {"type": None, **frame} for frame in body["frames"]
    ]
    assert {name: lines[-1][name] for name in body["summary"]} == body["summary"]
    assert lines[-1]["clip"] == body["clip"]
    assert all(line.startswith('{"type":"') for line in reply.text.splitlines())


async def test_a_table_has_a_row_a_frame(http, clips):
    reply = await post(http, clips["mp4"], accept="text/csv")
    rows = list(csv.DictReader(io.StringIO(reply.text)))
    assert reply.headers["content-type"].startswith("text/csv")
    assert len(rows) == 25
    assert (float(rows[3]["timestamp"]), rows[3]["face"], rows[3]["voice"]) == (0.12, "1", "1")
    assert (rows[0]["box_x1"], rows[0]["status"], rows[0]["model"]) == (
        *("10.0", "tracking"),
        "affect",
    )
    first = ("frame", "face_id", "timestamp", "confidence", "success")
    assert tuple(rows[0])[:5] == first
    assert [rows[24][name] for name in first] == ["25", "1", "0.96", "0.5", "1"]


async def test_what_is_not_known_is_empty_in_the_table(http, clips):
    reply = await post(http, clips["wav"], accept="text/csv", media_type="audio/wav", rate_hz=5)
    row = next(csv.DictReader(io.StringIO(reply.text)))
    assert (row["face"], row["voice"], row["box_x1"], row["face_id"]) == ("0", "1", "", "0")


async def test_a_timeline_is_a_picture_that_stands_alone(http, clips):
    reply = await post(http, clips["mp4"], accept="image/svg+xml", faces=True)
    drawing = ElementTree.fromstring(reply.text)
    assert reply.headers["content-type"] == "image/svg+xml"
    assert drawing.tag == SVG + "svg"
    assert not list(drawing.iter(SVG + "script"))
    images = [image.get("href") for image in drawing.iter(SVG + "image")]
    assert images
    assert all(str(image).startswith("data:image/jpeg;base64,") for image in images)
    lines = [path.get("class") for path in drawing.iter(SVG + "path")]
    assert {"line valence", "line arousal", "line gate", "cells"} <= set(lines)
    assert "prefers-color-scheme:dark" in reply.text
    assert "http" not in reply.text.replace("http://www.w3.org/2000/svg", "")
    policy = reply.headers["content-security-policy"]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


async def test_a_timeline_shows_nobody_s_face_unless_it_is_asked_to(http, clips):
    reply = await post(http, clips["mp4"], accept="image/svg+xml")
    assert not list(ElementTree.fromstring(reply.text).iter(SVG + "image"))


async def test_gates_and_stages_are_measured(http, clips):
    await post(http, clips["mp4"])
    metrics = (await http.get("/metrics")).text
    assert 'countenance_gate_count{model="affect"} 25.0' in metrics
    assert 'countenance_stage_seconds_count{model="affect",stage="clip"} 1.0' in metrics
    assert "countenance_clips 0.0" in metrics


async def test_a_store_without_the_model_says_what_is_missing(http, model, clips):
    model.models = ("align",)
    model.absent = {"affect": "the model store has no folder avi-gas"}
    reply = await post(http, clips["mp4"])
    assert (reply.status_code, reply.json()["type"]) == (503, URN + "unavailable")
    assert reply.json()["detail"].endswith("the model store has no folder avi-gas")
    assert (await http.get("/health/live")).status_code == 200


async def test_no_sound_is_used_from_beyond_half_a_window(http, model, clips):
    await post(http, clips["mp4"])
    start, pcm = model.heard[0]
    assert start + len(pcm) // 2 <= to_samples(7 / 25 + 1.55) + 1


TELEPHONE = "as over a telephone"


async def test_how_far_a_voice_is_to_be_trusted_is_told_where_one_was_used(http, model, clips):
    def notes(reply):
        return [note for note in reply.json()["notes"] if TELEPHONE in note]

    assert len(notes(await post(http, clips["mp4"]))) == 1
    model.deaf = True  # the tone is no speech to it
    assert notes(await post(http, clips["mp4"])) == []


async def test_a_table_and_a_timeline_have_their_notes_in_a_header(http, clips):
    told = (await post(http, clips["mp4"])).json()["notes"]
    assert told
    for accept in ("text/csv", "image/svg+xml"):
        reply = await post(http, clips["mp4"], accept=accept)
        assert json.loads(reply.headers["countenance-notes"]) == told
    for accept in ("application/json", "application/x-ndjson"):
        assert "countenance-notes" not in (await post(http, clips["mp4"], accept=accept)).headers
    assert "countenance-notes" not in (await post(http, clips["silent"], "text/csv")).headers
