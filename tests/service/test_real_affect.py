"""POST /affect and its socket with the weights that are shipped, through the whole service."""

import io
import json
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path

import av
import httpx
import numpy as np
import pytest
from PIL import Image

from service.affect.replies import AffectClipReply
from service.app import create_app
from service.inference.loading import OPTIONAL
from service.inference.local import LocalInference
from service.settings import Settings
from tests.service.clip_files import write_sound
from tests.service.counting import serving, step
from tests.spoken import RATE_HZ, speech

pytest.importorskip("handlers.affect")

ROOT = Path(__file__).parents[2]
STORE = ROOT / "model_store"
PORTRAIT = Image.open(ROOT / "tests" / "assets" / "astronaut.jpg").convert("RGB")
SHIPPED = [name for name in OPTIONAL["affect"] if (STORE / name).is_dir()]
if {"expressions", "voice"} <= set(SHIPPED):
    SHIPPED.append("face-voice")
# What hears by opensmile, an extra whose licence is for research.
NEEDING = ["aeg-cd-sz"] if find_spec("opensmile") is None else []
FRAMES = 20
HEARING = ("au", "au-de", "au-des", "avi-cas", "avi-gas", "voice", "face-voice")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SHIPPED, reason="no weights are shipped yet"),
]


def picture(number: int) -> Image.Image:
    """The portrait, moving a pixel a frame."""
    return PORTRAIT.crop((number, 0, number + 320, 320))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A clip of a face and a voice."""
    path = tmp_path_factory.mktemp("clips") / "portrait.mp4"
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        pictures.width = pictures.height = 320
        pictures.pix_fmt = "yuv420p"
        track = container.add_stream("aac", rate=RATE_HZ, layout="mono")
        for number in range(FRAMES):
            frame = av.VideoFrame.from_image(picture(number))
            container.mux(pictures.encode(frame))
        container.mux(pictures.encode(None))
        spoken = (speech(FRAMES / 25) / 32_768).astype(np.float32)
        write_sound(container, track, spoken, RATE_HZ)
    return path.read_bytes()


@pytest.fixture(scope="module")
def settings() -> Settings:
    return Settings(model_store=STORE, device="cpu", inference_timeout_s=120)


@asynccontextmanager
async def asking(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a service that runs as long."""
    app = create_app(settings)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=300) as http,
    ):
        yield http


@pytest.mark.parametrize("variant", NEEDING)
async def test_a_variant_that_needs_an_extra_is_refused_with_how_to_get_it(variant, clip, settings):
    async with asking(settings) as http:
        reply = await http.post("/affect", content=clip, params={"variant": variant})
        variants = (await http.get("/models")).json()["models"][-1]["variants"]
    assert reply.status_code == 422
    assert "pip install 'countenance[affect-egemaps]'" in reply.json()["detail"]
    assert variant not in variants


@pytest.mark.parametrize("variant", [name for name in SHIPPED if name not in NEEDING])
async def test_every_shipped_variant_estimates_a_clip(variant, clip, settings):
    async with asking(settings) as http:
        reply = await http.post("/affect", content=clip, params={"variant": variant})
        lines = await http.post(
            "/affect",
            content=clip,
            params={"variant": variant},
            headers={"Accept": "application/x-ndjson"},
        )
        models = (await http.get("/models")).json()["models"]
    body = AffectClipReply.model_validate(reply.json())
    assert (body.variant, len(body.frames)) == (variant, FRAMES)
    assert body.summary.arousal is not None
    assert (body.summary.valence is None) == (variant == "voice")
    assert body.summary.share_with_voice == (variant in HEARING)
    assert variant in next(item for item in models if item["name"] == "affect")["variants"]
    if variant not in ("au", "au-de", "au-des", "voice"):
        assert body.summary.share_with_face > 0.9
        x1, y1, x2, y2 = body.frames[0].face.box
        assert 60 < x2 - x1 < 200
        assert 60 < y2 - y1 < 200
    said = [json.loads(line) for line in lines.text.splitlines()]
    for one, other in zip(body.frames, said[1:-1], strict=True):
        assert one.arousal == pytest.approx(other["arousal"], abs=1e-4)


async def test_a_live_session_sees_and_hears(settings):
    inference = LocalInference.from_settings(settings)
    async with serving(inference, model_store=STORE, device="cpu") as service:
        service.model = "affect"
        async with service.open() as socket:
            replies, spoken = [], speech(1.0)
            for number in range(6):
                pcm = spoken[number * 882 : (number + 1) * 882].tobytes()
                await socket.send(struct.pack("<cd", b"S", number / 25) + pcm)
                data = io.BytesIO()
                picture(number).save(data, "JPEG")
                sent = struct.pack("<cd", b"F", (number + 1) / 25) + data.getvalue()
                replies.append(await step(socket, sent))
        kept = (await service.http.get("/sessions/s")).json()["streams"][0]["state_bytes"]
    assert {reply["status"] for reply in replies} == {"ok"}
    assert all(reply["used"] for reply in replies)
    assert 0 < kept < 160 * 1024


@pytest.mark.skipif("expressions" not in SHIPPED, reason="its weights are not shipped")
@pytest.mark.parametrize("angle", [0, 90, 180, 270])
async def test_a_smile_in_a_photograph_is_positive_however_it_is_turned(settings, angle):
    data = io.BytesIO()
    PORTRAIT.rotate(angle, expand=True).save(data, "JPEG", quality=95)
    headers = {"Content-Type": "image/jpeg"}
    async with asking(settings) as http:
        reply = await http.post("/affect", content=data.getvalue(), headers=headers)
    (face,) = reply.json()["faces"]
    assert face["quadrant"].startswith("positive")
    assert face["valence"] > 0.5
    assert max(face["expressions"], key=face["expressions"].get) == "happiness"
    assert face["confidence"] > 0.5
    assert len(face["face"]["landmarks"]) == 68
