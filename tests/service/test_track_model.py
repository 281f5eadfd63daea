"""The real handler behind the service: its words fit the interface, its states come back whole."""

import io
import logging
from pathlib import Path

import httpx
import pytest
from PIL import Image

from service.app import create_app
from service.inference import loading
from service.inference.loading import Loaded, load_handlers
from service.inference.local import LocalInference
from service.settings import Settings
from tests.waiting import MOST_S

pytest.importorskip("handlers.track")

from handlers.checkpoint import Checkpoint
from handlers.predictors.tracking.options import TrackingSettings
from handlers.predictors.tracking.predictor import TrackingPredictor
from handlers.store import read_variants
from handlers.track import TrackHandler, TrackParts
from tests.handlers.tracking_fakes import (
    Faces,
    ScriptedAligner,
    ScriptedDetector,
    ScriptedNetworks,
    box,
    numbered,
)

STILL = box(100, 100)
FACES: Faces = {number: [STILL] for number in range(8)}


def make_handler(sha256: str) -> TrackHandler:
    """Return the handler with scripted networks: a face in frames 0 to 7, lost in frame 2."""
    config = {"alignment": "dfa"}
    predictor = TrackingPredictor(
        ScriptedNetworks(FACES, {2: 0.1}),
        ScriptedDetector(FACES),
        ScriptedAligner(),
        TrackingSettings(2.0, 1.3, t_b=1.0, t_c=0.5, seq_bt=8, patience=5),
    )
    parts = TrackParts(
        predictor, Checkpoint("dcrt", "1", config, {}, sha256), read_variants(config)
    )
    return TrackHandler(Path("unused"), load=lambda store, device: parts)


@pytest.fixture
async def tracking(redis_server):
    """Return a function of a weights hash and a frame's number that posts the frame."""
    inferences = []

    async def post(number: int, sha256: str = "ab" * 32, **query: object) -> httpx.Response:
        inference = LocalInference(lambda: Loaded("cpu", {"track": make_handler(sha256)}))
        await inference.open()
        inferences.append(inference)
        app = create_app(Settings(redis_url=redis_server.url, store_timeout_s=MOST_S), inference)
        data = io.BytesIO()
        Image.fromarray(numbered(number)).save(data, "PNG")
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            params = {"time_s": number / 25, **query}
            reply = await http.post("/track/s", content=data.getvalue(), params=params)
        await app.state.services.store.close()
        return reply

    yield post
    for inference in inferences:
        await inference.close()


async def test_every_step_may_be_taken_by_another_process_and_fits_the_interface(tracking):
    replies = [(await tracking(number)).json() for number in range(5)]
    statuses = [reply["status"] for reply in replies]
    assert statuses == ["tracking", "tracking", "lost", "redetected", "tracking"]
    assert [reply["step"] for reply in replies] == [1, 2, 3, 4, 5]
    assert {face["track_id"] for reply in replies for face in reply["faces"]} == {1}
    assert replies[2]["faces"][0]["landmarks"] is None
    assert replies[3]["faces"][0]["lost_probability"] == pytest.approx(0.1)
    assert len(replies[4]["faces"][0]["landmarks"]) == 68
    assert {"decode", "track"} <= replies[4]["timings_ms"].keys()


async def test_weights_that_changed_start_the_session_anew_and_say_why(tracking):
    await tracking(0)
    reply = (await tracking(1, sha256="cd" * 32)).json()
    assert (reply["status"], reply["step"]) == ("reset", 2)
    assert "starts anew" in reply["notes"][0]
    assert (await tracking(2, sha256="cd" * 32, step=3)).json()["status"] == "lost"


async def test_the_options_of_the_interface_are_those_of_the_handler(tracking):
    query = {"max_faces": 8, "min_face_px": 20, "smoothing": "true", "variant": "crt"}
    reply = (await tracking(0, **query)).json()
    assert (reply["variant"], reply["smoothing"]) == ("crt", True)
    refused = await tracking(1, variant="nonsense")
    assert refused.status_code == 422
    assert "known are" in refused.json()["detail"]


class Stub:
    """A handler that wants a file in its model's folder."""

    def __init__(self, model_store: Path, device: str) -> None:
        (model_store / "dcrt" / "weights.safetensors").read_bytes()


@pytest.fixture
def only_track(monkeypatch):
    monkeypatch.setattr(loading, "HANDLERS", {"track": (__name__, "Stub")})


def test_a_model_that_the_store_lacks_is_left_out_with_a_word_in_the_log(
    only_track, tmp_path, caplog
):
    with caplog.at_level(logging.WARNING):
        assert load_handlers(tmp_path, "cpu").handlers == {}
    assert [record.getMessage() for record in caplog.records] == ["model not in the store"]


def test_a_model_that_is_broken_stops_the_start(only_track, tmp_path):
    (tmp_path / "dcrt").mkdir()
    with pytest.raises(FileNotFoundError):
        load_handlers(tmp_path, "cpu")
