"""What POST /align passes on to the model, and how it answers."""

import base64
import csv
import io
import math

import httpx
import pytest

from service.align.interface import FACE
from service.errors import URN
from service.schemas import POINTS

JPEG = {"Content-Type": "image/jpeg"}


async def test_a_raw_body_reaches_the_model_unchanged(client, inference, picture):
    data = picture()
    reply = await client.post("/align", content=data, headers=JPEG)
    assert reply.status_code == 200
    assert inference.questions[0].inputs == {"image": data}


async def test_a_multipart_file_reaches_the_model_unchanged(client, inference, picture):
    data = picture("PNG", (300, 200))
    reply = await client.post("/align", files={"image": ("a.png", data, "image/png")})
    assert reply.status_code == 200
    assert inference.questions[0].inputs == {"image": data}


@pytest.mark.parametrize("content_type", ["application/octet-stream", "image/*", None])
async def test_bytes_without_a_declared_type_are_told_by_themselves(post, picture, content_type):
    assert (await post(picture("PNG"), content_type)).status_code == 200


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "BMP", "GIF"])
async def test_every_format_on_offer_is_taken(post, picture, name):
    assert (await post(picture(name), f"image/{name.lower()}")).status_code == 200


async def test_the_defaults_of_the_options_are_those_of_the_interface(post, inference, picture):
    await post(picture())
    assert inference.questions[0].options == {
        "boxes": None,
        "max_faces": 64,
        "denoise": "auto",
        "include": [],
        "min_face_px": 40,
        "min_quality": 0.15,
        "max_pixels": 50_000_000,
    }


async def test_options_are_passed_on(client, inference, picture):
    query = "max_faces=3&denoise=off&include=denoised,aligned&include=aligned&min_face_px=60"
    await client.post(f"/align?{query}", content=picture(), headers=JPEG)
    options = inference.questions[0].options
    assert (options["max_faces"], options["denoise"], options["min_face_px"]) == (3, "off", 60)
    assert options["include"] == ["denoised", "aligned"]


@pytest.mark.parametrize(
    ("query", "boxes"),
    [
        ("boxes=1,2,3.5,4", [[1, 2, 3.5, 4]]),
        ("boxes=1,2,3,4&boxes=5,6,7,8", [[1, 2, 3, 4], [5, 6, 7, 8]]),
        ("boxes=[1,2,3,4]", [[1, 2, 3, 4]]),
        ("boxes=[[1,2,3,4],[5,6,7,8]]", [[1, 2, 3, 4], [5, 6, 7, 8]]),
        ("boxes=-4,-3,10,10", [[-4, -3, 10, 10]]),
    ],
)
async def test_boxes_are_read_as_numbers_or_json(client, inference, picture, query, boxes):
    reply = await client.post(f"/align?{query}", content=picture(), headers=JPEG)
    assert reply.status_code == 200
    assert inference.questions[0].options["boxes"] == boxes


async def test_json_names_the_model_in_body_and_header(post, picture):
    reply = await post(picture())
    assert reply.headers["content-type"] == "application/json"
    assert reply.json()["model"]["version"] == "0.1.0"
    assert reply.headers["countenance-model"] == "align/0.1.0"
    assert reply.json()["faces"][0]["degradation"]["class"] == "blur"


async def test_pictures_in_json_are_png_data_urls(post, inference, picture):
    inference.outputs["faces"] = [{**FACE, "aligned": b"\x89PNG.", "denoised_face": b"\x89PNG,"}]
    face = (await post(picture(), include="aligned,denoised")).json()["faces"][0]
    prefix = "data:image/png;base64,"
    assert face["aligned"].startswith(prefix)
    assert base64.b64decode(face["denoised_face"].removeprefix(prefix)) == b"\x89PNG,"


async def test_no_face_is_an_empty_list_and_no_error(post, inference, picture):
    inference.outputs["faces"] = []
    reply = await post(picture())
    assert (reply.status_code, reply.json()["faces"]) == (200, [])


async def test_csv_has_openface_columns_in_openface_order(client, picture):
    reply = await client.post("/align", content=picture(), headers={**JPEG, "Accept": "text/csv"})
    assert reply.headers["content-type"].startswith("text/csv")
    assert reply.headers["countenance-model"] == "align/0.1.0"
    header, row = csv.reader(io.StringIO(reply.text))
    points = [f"{axis}_{index}" for axis in "xy" for index in range(POINTS)]
    pose = [f"pose_{letter}{axis}" for letter in "TR" for axis in "xyz"]
    assert header[:144] == ["face", "confidence", *pose, *points]
    values = dict(zip(header, row, strict=True))
    assert float(values["pose_Ry"]) == pytest.approx(math.radians(4.4), abs=1e-4)
    assert float(values["pose_Tz"]) == 894.3
    assert [float(values["x_67"]), float(values["y_67"])] == FACE["landmarks"][67]
    assert values["model_version"] == "0.1.0"


async def test_csv_without_faces_is_its_header(client, inference, picture):
    inference.outputs["faces"] = []
    reply = await client.post("/align", content=picture(), headers={**JPEG, "Accept": "text/csv"})
    assert len(reply.text.splitlines()) == 1


async def test_a_face_in_a_given_box_has_no_confidence_in_csv(client, inference, picture):
    inference.outputs["faces"] = [{**FACE, "score": None}]
    reply = await client.post("/align", content=picture(), headers={**JPEG, "Accept": "text/csv"})
    assert next(csv.DictReader(io.StringIO(reply.text)))["confidence"] == ""


async def test_png_is_the_drawn_picture(client, inference, picture):
    inference.outputs["overlay"] = b"\x89PNG drawn"
    reply = await client.post("/align", content=picture(), headers={**JPEG, "Accept": "image/png"})
    assert (reply.content, reply.headers["content-type"]) == (b"\x89PNG drawn", "image/png")
    assert inference.questions[0].options["include"] == ["overlay"]
    assert reply.headers["countenance-model"] == "align/0.1.0"


async def test_what_is_not_on_offer_is_refused_before_the_body_is_read(client, inference):
    reply = await client.post("/align", content=b"", headers={**JPEG, "Accept": "video/mp4"})
    assert (reply.status_code, inference.questions) == (406, [])
    assert "text/csv" in reply.json()["detail"]


async def test_pictures_inside_a_table_are_refused(client, picture):
    headers = {**JPEG, "Accept": "text/csv"}
    reply = await client.post("/align?include=aligned", content=picture(), headers=headers)
    assert reply.status_code == 422


async def test_a_model_that_answers_nonsense_is_an_internal_error(post, inference, picture):
    inference.outputs["faces"] = [{**FACE, "landmarks": [[math.nan, 0.0]] * POINTS}]
    reply: httpx.Response = await post(picture())
    assert reply.status_code == 500
    assert reply.json()["type"].endswith(":internal")


async def test_a_picture_that_is_too_large_to_be_drawn_is_refused_before_any_work(
    client, inference, picture
):
    data = picture(size=(5000, 4000))
    headers = {"Accept": "image/png"}
    refused = await client.post("/align", content=data, headers=headers)
    assert (refused.status_code, refused.json()["type"]) == (422, URN + "too-many-pixels")
    assert inference.questions == []
    assert (await client.post("/align", content=data)).status_code == 200
