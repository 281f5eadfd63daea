"""POST /affect with a photograph, and tables with more than one face."""

import csv
import io

import httpx
import pytest

from service.affect.clip import COLUMNS, table_rows
from service.affect.interface import EXAMPLE_FRAME, EXAMPLE_HEAD
from service.affect.replies import AffectMoment, PhotographReply
from service.affect.route import landmarks_box
from service.align.interface import FACE
from service.app import create_app
from service.clips.replies import ClipHead
from service.openface import write_rows
from service.settings import Settings
from tests.service.feeling import CountingAffect

JPEG = {"Content-Type": "image/jpeg"}


@pytest.fixture
def model() -> CountingAffect:
    return CountingAffect()


@pytest.fixture
async def http(model):
    transport = httpx.ASGITransport(create_app(Settings(), model))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


async def test_a_photograph_is_answered_with_every_face_in_it(http, model, picture):
    reply = await http.post("/affect", content=picture(), headers=JPEG)
    assert reply.status_code == 200, reply.text
    body = PhotographReply.model_validate(reply.json())
    (face,) = body.faces
    assert (face.valence, face.confidence) == (0.5, 0.8)
    assert face.face.landmarks[0] == tuple(FACE["landmarks"][0])
    (asked,) = model.photographs
    assert asked.inputs["boxes"] == [list(landmarks_box(face.face.landmarks))]


async def test_a_form_may_hold_a_photograph_in_place_of_a_clip(http, model, picture):
    reply = await http.post("/affect", files={"image": picture()})
    assert reply.status_code == 200, reply.text
    assert len(PhotographReply.model_validate(reply.json()).faces) == 1
    assert len(model.photographs) == 1


async def test_a_form_holds_a_clip_or_a_photograph(http, picture):
    reply = await http.post("/affect", files={"image": picture(), "clip": picture()})
    assert reply.status_code == 422
    assert "not both" in reply.json()["detail"]


@pytest.mark.parametrize("as_form", [True, False])
async def test_a_photograph_is_a_table_or_a_line_where_accept_says_so(http, picture, as_form):
    sent = {"files": {"image": picture()}} if as_form else {"content": picture()}
    declared = {} if as_form else JPEG
    table = await http.post("/affect", **sent, headers={**declared, "Accept": "text/csv"})
    assert table.headers["content-type"].startswith("text/csv")
    (row,) = csv.DictReader(io.StringIO(table.text))
    assert tuple(row) == COLUMNS
    assert (row["face_id"], row["valence"]) == ("1", "0.5")
    headers = {**declared, "Accept": "application/x-ndjson"}
    lines = await http.post("/affect", **sent, headers=headers)
    assert lines.headers["content-type"] == "application/x-ndjson"
    (line,) = lines.text.splitlines()
    assert len(PhotographReply.model_validate_json(line).faces) == 1


@pytest.mark.parametrize("field", ["image", "clip"])
async def test_a_form_with_a_field_twice_is_refused(http, model, picture, field):
    reply = await http.post("/affect", files=[(field, picture()), (field, picture())])
    assert reply.status_code == 422
    assert f"`{field}` came more than once" in reply.json()["detail"]
    assert not model.photographs


async def test_an_empty_picture_is_told_so(http):
    reply = await http.post("/affect", files={"image": b""})
    assert reply.status_code == 422
    assert reply.json()["detail"] == "the field `image` holds no bytes; send a picture"


@pytest.mark.parametrize("declared", [{}, {"Content-Type": "application/octet-stream"}])
async def test_bytes_of_a_picture_are_a_photograph_where_nothing_is_declared(
    http, picture, declared
):
    reply = await http.post("/affect", content=picture(), headers=declared)
    assert reply.status_code == 200, reply.text
    assert len(PhotographReply.model_validate(reply.json()).faces) == 1


async def test_a_photograph_without_declaration_has_the_bounds_of_pictures(model, picture):
    data = picture()
    app = create_app(Settings(max_upload_bytes=len(data) - 1), model)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        reply = await client.post("/affect", content=data)
    assert reply.status_code == 413
    assert "a picture may have at most" in reply.json()["detail"]


async def test_a_photograph_in_the_place_of_a_clip_is_told_its_own(http, picture):
    for sent in (
        {"files": {"clip": picture()}},
        {"content": picture(), "headers": {"Content-Type": "video/mp4"}},
    ):
        reply = await http.post("/affect", **sent)
        assert reply.status_code == 415
        assert "field `image` or declared as image/jpeg" in reply.json()["detail"]


async def test_another_type_of_body_is_told_those_of_pictures_too(http, picture):
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    reply = await http.post("/affect", content=picture(), headers=headers)
    assert reply.status_code == 415
    assert "a picture as image/jpeg, or as the field `image`" in reply.json()["detail"]


async def test_a_form_without_either_is_told_both_fields(http, picture):
    reply = await http.post("/affect", files={"photo": picture()})
    assert reply.status_code == 422
    assert "`clip` or `image`" in reply.json()["detail"]


async def test_options_of_a_photograph_are_passed_on(http, model, picture):
    query = {"variant": "vi-de", "min_face_px": 60}
    await http.post("/affect", content=picture(), headers=JPEG, params=query)
    assert model.questions[0].options["min_face_px"] == 60
    assert model.photographs[0].options["variant"] == "vi-de"


async def test_a_photograph_has_no_timeline(http, picture):
    headers = {**JPEG, "Accept": "image/svg+xml"}
    reply = await http.post("/affect", content=picture(), headers=headers)
    assert reply.status_code == 406


async def test_what_is_declared_a_photograph_and_is_none_is_refused(http):
    reply = await http.post("/affect", content=b"no picture", headers=JPEG)
    assert reply.status_code == 415


def test_a_table_has_a_row_for_every_face():
    estimate = {
        name: EXAMPLE_FRAME[name] for name in ("valence", "arousal", "quadrant", "expressions")
    }
    other = {**estimate, "face": {**EXAMPLE_FRAME["face"], "track_id": 7}}
    moment = AffectMoment.model_validate({**EXAMPLE_FRAME, "frame": 3, "others": [other]})
    rows = table_rows(moment, ClipHead.model_validate(EXAMPLE_HEAD))
    text = write_rows([COLUMNS, *rows])
    first, second = csv.DictReader(io.StringIO(text))
    assert list(first)[:5] == ["frame", "face_id", "timestamp", "confidence", "success"]
    assert (first["frame"], second["frame"], second["face_id"]) == ("3", "3", "7")
    assert (first["gate"], second["gate"]) == (str(EXAMPLE_FRAME["gate"]), "")
    assert (first["voice"], second["voice"]) == ("1", "0")
    assert first["happiness"] == str(EXAMPLE_FRAME["expressions"]["happiness"])
