"""POST /align with the weights that are shipped, through the whole of the service."""

import asyncio
import base64
import csv
import io
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from service.app import create_app
from service.errors import URN
from service.settings import Settings

pytest.importorskip("handlers.align")

ROOT = Path(__file__).parents[2]
STORE = ROOT / "model_store"
PORTRAIT = (ROOT / "tests" / "assets" / "astronaut.jpg").read_bytes()
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")
FACE_BOX = (170, 60, 280, 190)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (STORE / "dfa").is_dir(), reason="no weights are shipped yet"),
]


class Service:
    """One application with its models loaded, asked from tests that are not asynchronous."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self.runner = runner
        app = create_app(Settings(model_store=STORE, device="cpu", inference_timeout_s=120))
        transport = httpx.ASGITransport(app)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://localhost")
        self.lifespan = app.router.lifespan_context(app)
        runner.run(self.lifespan.__aenter__())

    def align(self, content: bytes, accept: str = "*/*", **params: object) -> httpx.Response:
        request = self.client.post(
            "/align", content=content, headers={"Accept": accept}, params=params
        )
        return self.runner.run(request)

    def get(self, path: str) -> httpx.Response:
        return self.runner.run(self.client.get(path))

    def close(self) -> None:
        self.runner.run(self.client.aclose())
        self.runner.run(self.lifespan.__aexit__(None, None, None))


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with asyncio.Runner() as runner:
        service = Service(runner)
        yield service
        service.close()


def encode(image: Image.Image, name: str = "JPEG", **options: object) -> bytes:
    data = io.BytesIO()
    image.save(data, name, **options)
    return data.getvalue()


def portrait() -> Image.Image:
    return Image.open(io.BytesIO(PORTRAIT)).convert("RGB")


def test_the_portrait_has_one_face_where_it_is(service):
    reply = service.align(PORTRAIT)
    assert reply.status_code == 200, reply.text
    (face,) = reply.json()["faces"]
    x1, y1, x2, y2 = FACE_BOX
    assert all(x1 < x < x2 and y1 < y < y2 for x, y in face["landmarks"])
    assert face["score"] > 0.9
    assert reply.json()["image"] == {
        "width": 512,
        "height": 512,
        "format": "JPEG",
        "rotated": False,
        "frames": 1,
    }


def test_the_answer_names_the_model_that_models_lists(service):
    (listed,) = [m for m in service.get("/models").json()["models"] if m["name"] == "align"]
    model = service.align(PORTRAIT).json()["model"]
    assert model == {key: listed[key] for key in ("name", "version", "sha256")}
    assert listed["licence"]


def test_a_given_box_takes_the_place_of_the_detector(service):
    found = service.align(PORTRAIT).json()["faces"][0]
    given = service.align(PORTRAIT, boxes=",".join(str(x) for x in found["box"])).json()["faces"][0]
    assert given["score"] is None
    for (x1, y1), (x2, y2) in zip(found["landmarks"], given["landmarks"], strict=True):
        assert abs(x1 - x2) < 2
        assert abs(y1 - y2) < 2


def test_a_box_outside_the_picture_is_named(service):
    reply = service.align(PORTRAIT, boxes="600,600,700,700")
    assert (reply.status_code, reply.json()["type"]) == (422, URN + "invalid-box")
    assert "600" in reply.json()["detail"]


def test_included_pictures_are_pngs(service):
    face = service.align(PORTRAIT, include="aligned,denoised").json()["faces"][0]
    for name in ("aligned", "denoised_face"):
        data = base64.b64decode(face[name].removeprefix("data:image/png;base64,"))
        assert Image.open(io.BytesIO(data)).format == "PNG"


def test_the_drawn_picture_has_the_size_of_the_picture_and_is_another_one(service):
    drawn = Image.open(io.BytesIO(service.align(PORTRAIT, accept="image/png").content))
    assert (drawn.format, drawn.size) == ("PNG", (512, 512))
    assert drawn.convert("RGB").tobytes() != portrait().tobytes()


def test_the_table_has_the_coordinates_of_the_json(service):
    (row,) = csv.DictReader(io.StringIO(service.align(PORTRAIT, accept="text/csv").text))
    (face,) = service.align(PORTRAIT).json()["faces"]
    assert [float(row["x_30"]), float(row["y_30"])] == pytest.approx(face["landmarks"][30], abs=0.1)


def test_coordinates_are_those_of_the_upright_picture(service):
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encode(portrait().rotate(90, expand=True), quality=92, exif=exif)
    reply = service.align(turned).json()
    assert reply["image"]["rotated"]
    (x, y) = reply["faces"][0]["landmarks"][30]
    assert FACE_BOX[0] < x < FACE_BOX[2]
    assert FACE_BOX[1] < y < FACE_BOX[3]


def test_a_picture_without_a_face_is_an_empty_list(service):
    reply = service.align(encode(Image.new("RGB", (320, 240), (90, 120, 40))))
    assert (reply.status_code, reply.json()["faces"]) == (200, [])
    drawn = service.align(encode(Image.new("RGB", (320, 240))), accept="image/png")
    assert drawn.headers["content-type"] == "image/png"


def test_a_jpeg_that_is_cut_short_is_said_to_be(service):
    reply = service.align(PORTRAIT[: len(PORTRAIT) // 2])
    assert (reply.status_code, reply.json()["type"]) == (422, URN + "truncated-image")


def test_of_an_animation_the_first_frame_is_read_and_a_note_says_so(service):
    blank = Image.new("RGB", (512, 512))
    animation = encode(portrait(), "GIF", save_all=True, append_images=[blank, portrait()])
    reply = service.align(animation).json()
    assert len(reply["faces"]) == 1
    assert reply["image"]["frames"] == 3
    assert reply["notes"]


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGBA", "P", "I;16"])
def test_every_colour_model_shows_the_same_face(service, mode):
    picture = portrait().convert("RGBA" if mode == "RGBA" else "RGB")
    picture = picture.convert("L").convert("I;16") if mode == "I;16" else picture.convert(mode)
    if mode == "I;16":
        picture = picture.point(lambda value: value * 257)
    reply = service.align(encode(picture, "JPEG" if mode == "CMYK" else "PNG"))
    assert len(reply.json()["faces"]) == 1


@settings(max_examples=30, derandomize=True)
@given(st.data())
def test_no_damage_to_a_picture_is_a_server_error(service, data):
    whole = bytearray(encode(portrait().resize((64, 64)), data.draw(st.sampled_from(FORMATS))))
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(1, len(whole)))
    assert service.align(bytes(whole[:cut])).status_code in (200, 415, 422)
