"""Every kind of bad input gets its status and its stable type, and the model is never asked."""

import pytest

from service.align.interface import ALIGN_REPLY
from service.errors import BY_SLUG, URN, Problem, ServiceError, refusal
from tests.made_pictures import bmp_header, gif_header, png_header, webp_header

JPEG = {"Content-Type": "image/jpeg"}


CASES = {
    "text": (b"hello, world", "not-an-image", "text that begins 'hello, world'"),
    "a web page": (b"<!doctype html><p>", "not-an-image", "HTML page"),
    "JSON": (b'{"a": 1}', "not-an-image", "found JSON"),
    "PDF": (b"%PDF-1.7\n...", "not-an-image", "PDF"),
    "video": (b"\0\0\0\x18ftypisom....", "not-an-image", "MP4 or QuickTime"),
    "random bytes": (bytes(range(128, 255)), "not-an-image", "80 81 82"),
    "a photo of a phone, cut off": (b"\0\0\0\x18ftypheic....", "invalid-image", "HEIC"),
    "TIFF": (b"II*\0" + bytes(40), "unsupported-format", "TIFF"),
    "a drawing": (b'<svg xmlns="http://www.w3.org/2000/svg">', "unsupported-format", "SVG"),
    "nothing": (b"", "empty-body", "no bytes"),
    "the start of a JPEG": (b"\xff\xd8\xff\xe0\0\x10JFIF", "invalid-image", "JPEG"),
    "the start of a PNG": (b"\x89PNG\r\n\x1a\n\0\0", "invalid-image", "PNG"),
    "the start of a WebP": (b"RIFF\x10\0\0\0WEBPVP8 ", "invalid-image", "WEBP"),
    "a PNG bomb": (png_header(60_000, 60_000), "too-many-pixels", "60000 x 60000"),
    "a GIF bomb": (gif_header(65_000, 65_000), "too-many-pixels", "65000 x 65000"),
    "a WebP bomb": (webp_header(16_000, 16_000), "too-many-pixels", "256000000"),
    "a BMP bomb": (bmp_header(20_000, 20_000), "too-many-pixels", "400000000 pixels"),
    "a long animation": (gif_header(1000, 1000, 51), "too-many-pixels", "51 frames"),
    "frames without end": (png_header(1, 1, 10_001), "too-many-pixels", "10000 frames"),
}


@pytest.mark.parametrize("name", CASES)
async def test_a_body_that_is_no_good_picture_is_named(post, inference, name):
    data, slug, found = CASES[name]
    reply = await post(data, None)
    assert reply.json()["type"] == URN + slug
    assert reply.status_code == BY_SLUG[slug].status
    assert found in reply.json()["detail"]
    assert reply.headers["content-type"] == "application/problem+json"
    assert inference.questions == []


async def test_a_picture_of_just_the_limit_is_taken(make_client, picture):
    client = make_client(max_pixels=64 * 48)
    assert (await client.post("/align", content=picture(), headers=JPEG)).status_code == 200
    larger = picture(size=(64, 49))
    assert (await client.post("/align", content=larger, headers=JPEG)).status_code == 422


async def test_a_picture_is_what_its_bytes_are_and_a_note_names_what_was_declared(post, picture):
    reply = await post(picture("PNG"), "image/jpeg")
    assert reply.status_code == 200
    note = reply.json()["notes"][0]
    assert "image/jpeg" in note
    assert "PNG" in note


async def test_a_file_is_what_its_bytes_are_and_not_its_name(client, picture):
    files = {"image": ("a.jpg", picture("WEBP"), "image/jpeg")}
    reply = await client.post("/align", files=files)
    assert reply.status_code == 200
    assert "WEBP" in reply.json()["notes"][0]
    right = {"image": ("a.jpg", picture("JPEG"), "image/jpeg")}
    assert not (await client.post("/align", files=right)).json()["notes"]


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "video/mp4"])
async def test_a_body_declared_as_no_picture_is_refused(post, picture, kind):
    reply = await post(picture(), kind)
    assert (reply.status_code, reply.json()["type"]) == (415, URN + "unsupported-media-type")
    assert kind in reply.json()["detail"]


async def test_a_form_without_the_picture_names_what_it_holds(client, picture):
    reply = await client.post("/align", files={"photo": ("a.jpg", picture(), "image/jpeg")})
    assert (reply.status_code, reply.json()["type"]) == (422, URN + "invalid-multipart")
    assert "`photo`" in reply.json()["detail"]


async def test_a_name_in_place_of_a_file_is_told_how_a_file_is_sent(client):
    reply = await client.post("/align", files={"image": (None, "photo.jpg")})
    assert (reply.status_code, reply.json()["type"]) == (422, URN + "invalid-multipart")
    assert "'photo.jpg'" in reply.json()["detail"]
    assert "-F image=@FILE" in reply.json()["detail"]


async def test_an_option_in_the_form_is_told_to_go_into_the_address(client, picture):
    files = {"image": ("a.jpg", picture(), "image/jpeg"), "max_faces": (None, "2")}
    reply = await client.post("/align", files=files)
    assert (reply.status_code, reply.json()["type"]) == (422, URN + "invalid-multipart")
    assert "?max_faces=2" in reply.json()["detail"]


async def test_a_picture_in_a_field_without_a_filename_is_told_to_need_one(client):
    reply = await client.post("/align", files={"image": (None, bytes(100_000))})
    assert (reply.status_code, reply.json()["type"]) == (422, URN + "invalid-multipart")
    assert "filename" in reply.json()["detail"]


async def test_an_unknown_option_is_told_which_there_are(post, picture):
    reply = await post(picture(), max_face=3)
    found = reply.json()["errors"][0]
    assert (reply.status_code, found["where"]) == (422, "query.max_face")
    assert "max_faces" in found["message"]
    assert "min_face_px" in found["message"]


async def test_an_empty_file_in_a_form_is_an_empty_body(client):
    reply = await client.post("/align", files={"image": ("a.jpg", b"", "image/jpeg")})
    assert (reply.status_code, reply.json()["type"]) == (422, URN + "empty-body")


async def test_two_files_in_a_form_are_refused(client, picture):
    files = [("image", ("a.jpg", picture(), "image/jpeg"))] * 2
    reply = await client.post("/align", files=files)
    assert (reply.status_code, reply.json()["type"]) == (422, URN + "invalid-multipart")
    assert "send one in the field `image`" in reply.json()["detail"]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"--x\r\n"),
        ("multipart/form-data; boundary=x", b"nonsense"),
        (
            "multipart/form-data; boundary=x",
            b"--x\r\nContent-Disposition: form-data\r\n\r\na\r\n--x--",
        ),
        ("multipart/form-data; boundary=x", b""),
    ],
)
async def test_a_broken_form_is_refused(post, kind, body):
    reply = await post(body, kind)
    assert (reply.status_code, reply.json()["type"]) == (422, URN + "invalid-multipart")


@pytest.mark.parametrize(
    ("box", "found"),
    [
        ("1,2,3", "3 numbers"),
        ("1,2,3,4,5", "5 numbers"),
        ("a,b,c,d", "not made of four numbers"),
        ("", "names no box"),
        ("nan,0,10,10", "not finite"),
        ("0,0,inf,10", "not finite"),
        ("[NaN, 0, 10, 10]", "not finite"),
        ("[0, 0, 1e999, 10]", "not finite"),
        ("[0, 0, -Infinity, 10]", "not finite"),
        ("10,10,10,20", "no area"),
        ("10,10,5,20", "no area"),
        ("[[1,2,3,4],[1,2]]", "2 numbers"),
        ("[true,false,1,2]", "not made of four numbers"),
        ("[]", "names no box"),
        ("[1,2", "no JSON"),
        ("[" * 20_000, "no JSON"),
        ('[{"x": 1}, 1, 2, 3]', "not made of four numbers"),
    ],
)
async def test_a_box_that_cannot_be_used_is_named(post, inference, picture, box, found):
    reply = await post(picture(), boxes=box)
    assert (reply.status_code, reply.json()["type"]) == (422, URN + "invalid-box")
    assert found in reply.json()["detail"]
    assert inference.questions == []


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("/align?min_quality=nan", "finite number"),
        ("/affect?smoothing_s=nan", "finite number"),
        ("/track?min_quality=nan", "finite number"),
        ("/affect?rate_hz=5&rate_hz=6", "query.rate_hz: given 2 times"),
        ("/align?max_faces=1&max_faces=1", "query.max_faces: given 2 times"),
    ],
)
async def test_an_option_without_one_number_is_refused(client, picture, address, found):
    reply = await client.post(address, content=picture(), headers=JPEG)
    assert (reply.status_code, reply.json()["type"]) == (422, URN + "invalid-request")
    assert found in reply.json()["detail"]


async def test_more_boxes_than_faces_are_refused(client, picture):
    boxes = "&".join(["boxes=0,0,9,9"] * 3)
    reply = await client.post(f"/align?max_faces=2&{boxes}", content=picture(), headers=JPEG)
    assert (reply.status_code, reply.json()["type"]) == (422, URN + "invalid-box")


@pytest.mark.parametrize(
    "query",
    [
        {"max_faces": "0"},
        {"max_faces": "65"},
        {"max_faces": "nan"},
        {"max_faces": "1.5"},
        {"min_face_px": "19"},
        {"min_face_px": "inf"},
        {"denoise": "yes"},
        {"include": "overlay"},
        {"include": ""},
        {"maxfaces": "3"},
    ],
)
async def test_a_query_that_does_not_fit_is_named(post, picture, query):
    reply = await post(picture(), **query)
    assert (reply.status_code, reply.json()["type"]) == (422, URN + "invalid-request")
    assert reply.json()["errors"][0]["where"].startswith("query." + next(iter(query)))


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("not-an-image", 415),
        ("invalid-image", 422),
        ("truncated-image", 422),
        ("too-many-pixels", 422),
        ("invalid-box", 422),
        ("internal", 500),
        ("never-heard-of", 500),
    ],
)
async def test_what_the_model_refuses_gets_the_status_of_its_type(
    post, inference, picture, kind, status
):
    inference.error = refusal(kind, "box (900, 0, 950, 40) lies outside 640 x 480")
    reply = await post(picture())
    assert reply.status_code == status
    assert ("outside" in reply.json()["detail"]) == (status != 500)


async def test_an_animation_is_taken_and_its_notes_are_passed_on(post, inference):
    inference.outputs = {**ALIGN_REPLY, "notes": ["first of 3 frames"]}
    reply = await post(gif_header(20, 20, 3), "image/gif")
    assert reply.json()["notes"] == ["first of 3 frames"]


def test_every_problem_has_a_name_of_its_own_and_a_fitting_status():
    assert len(BY_SLUG) == len(Problem)
    assert all(400 <= problem.status < 600 for problem in Problem)
    assert all(1000 <= problem.close_code < 5000 for problem in Problem)


def test_details_of_internal_errors_stay_in_the_log():
    error = refusal("internal", "/secret/path")
    assert isinstance(error, ServiceError)
    assert "/secret/path" not in error.detail
    assert "/secret/path" in error.__notes__[0]
