"""The `track` handler: bytes in and out, states handed through, a bad row spoils only itself."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow
from safetensors.numpy import load as load_safetensors

from handlers.attributes import load_attributes
from handlers.checkpoint import Checkpoint
from handlers.predictors.tracking.options import TrackingSettings
from handlers.predictors.tracking.predictor import TrackingPredictor
from handlers.predictors.tracking.state import SCHEMA
from handlers.store import read_variants
from handlers.track import TrackHandler, TrackParts
from handlers.wire import UNUSABLE, dump_state, load_state, pack, unpack
from tests.handlers.tracking_fakes import (
    Faces,
    ScriptedAligner,
    ScriptedDetector,
    ScriptedNetworks,
    box,
    numbered,
)

SETTINGS = TrackingSettings(2.0, 1.3, t_b=1.0, t_c=0.5, seq_bt=8, patience=5)
STILL = box(100, 100)
FACES: Faces = {number: [STILL] for number in range(20)}


STORE = Path(__file__).parents[2] / "model_store"


def handler(
    probabilities: dict[int, float] | None = None, sha256: str = "ab" * 32, faces: Faces = FACES
) -> TrackHandler:
    config = {"alignment": "dfa", "licence": "Apache-2.0"}
    checkpoint = Checkpoint("dcrt", "1", config, {}, sha256)
    networks = ScriptedNetworks(faces, probabilities)
    predictor = TrackingPredictor(networks, ScriptedDetector(faces), ScriptedAligner(), SETTINGS)
    attributes = load_attributes(STORE)
    parts = TrackParts(predictor, checkpoint, read_variants(config), attributes)
    return TrackHandler(Path("unused"), load=lambda store, device: parts)


def png(number: int) -> bytes:
    buffer = BytesIO()
    Pillow.fromarray(numbered(number)).save(buffer, "PNG")
    return buffer.getvalue()


def row(number: int, state: bytes | None = None, **options: Any) -> bytes:
    time_s = options.pop("time_s", number / 25)
    message: dict[str, Any] = {
        "inputs": {"image": png(number), "time_s": time_s},
        "options": options,
    }
    return pack(message if state is None else {**message, "state": state})


def one(served: TrackHandler, asked: bytes) -> dict[str, Any]:
    (answer,) = served.handle([asked])
    return unpack(answer)


def test_a_frame_is_answered_with_faces_and_the_next_state() -> None:
    answer = one(handler(), row(0))
    outputs = answer["outputs"]
    assert outputs["model"] == {"name": "track", "version": "1", "sha256": "ab" * 32}
    assert (outputs["status"], outputs["step"], outputs["notes"]) == ("tracking", 1, [])
    assert outputs["image"] == {"width": 320, "height": 240}
    (face,) = outputs["faces"]
    assert face["track_id"] == 1
    assert face["box"] == STILL.tolist()
    assert len(face["landmarks"]) == 68
    assert face["face_probability"] == pytest.approx(0.9)
    assert face["lost_probability"] is None
    assert face["degradation"] == {"class": "blur", "probabilities": {"blur": 1.0}}
    assert 0 < face["quality"] <= 1
    assert "yaw_deg" in face["pose"]
    assert set(outputs["timings_ms"]) >= {"decode", "detect", "track", "align"}
    assert isinstance(answer["state"], bytes)


def test_a_session_goes_on_from_its_state() -> None:
    served, state, steps = handler({2: 0.1}), None, []
    for number in range(4):
        answer = one(served, row(number, state))
        state = answer["state"]
        steps.append((answer["outputs"]["step"], answer["outputs"]["status"]))
    assert steps == [(1, "tracking"), (2, "tracking"), (3, "lost"), (4, "redetected")]
    (face,) = answer["outputs"]["faces"]
    assert face["lost_probability"] == pytest.approx(0.1)


def test_any_worker_takes_the_next_step() -> None:
    state = one(handler(), row(0))["state"]
    here, there = one(handler(), row(1, state)), one(handler(), row(1, state))
    here["outputs"].pop("timings_ms")
    there["outputs"].pop("timings_ms")
    assert here["outputs"] == there["outputs"]
    states = [load_safetensors(answer["state"]) for answer in (here, there)]
    assert states[0].keys() == states[1].keys()
    for name, tensor in states[0].items():
        np.testing.assert_array_equal(tensor, states[1][name])


def test_a_lost_face_has_its_last_box_and_no_landmarks() -> None:
    served = handler({1: 0.2})
    outputs = one(served, row(1, one(served, row(0))["state"]))["outputs"]
    (face,) = outputs["faces"]
    assert (face["status"], face["landmarks"], face["box"]) == ("lost", None, STILL.tolist())


def test_a_state_of_other_weights_starts_the_session_anew_and_says_so() -> None:
    state = one(handler(sha256="cd" * 32), row(0))["state"]
    outputs = one(handler(), row(1, state))["outputs"]
    assert (outputs["status"], outputs["step"]) == ("reset", 1)
    assert outputs["faces"][0]["status"] == "tracking"
    assert "anew" in outputs["notes"][0]
    assert "dcrt" in outputs["notes"][0]


@pytest.mark.parametrize("cut", [0, 5, 40, -3])
def test_a_damaged_state_starts_the_session_anew(cut: int) -> None:
    state = one(handler(), row(0))["state"][:cut]
    outputs = one(handler(), row(1, state))["outputs"]
    assert (outputs["status"], outputs["step"]) == ("reset", 1)


def test_a_bad_row_spoils_only_itself_and_gets_no_state() -> None:
    served = handler()
    state = one(served, row(0))["state"]
    broken = pack({"inputs": {"image": png(1)[:60]}, "options": {}, "state": state})
    answers = [unpack(a) for a in served.handle([row(1, state), broken, b"\xff", row(1, state)])]
    assert [a["outputs"]["step"] for a in (answers[0], answers[3])] == [2, 2]
    assert [a["error"]["type"] for a in answers[1:3]] == ["truncated-image", "invalid-request"]
    assert all("state" not in a for a in answers[1:3])
    assert one(served, row(1, state))["outputs"]["step"] == 2


class FailingAligner(ScriptedAligner):
    """Fails on frame 7."""

    def align(self, images: Any, boxes: Any, denoise: bool, looks: int, rolls: Any = None) -> Any:
        if any(image[0, 0, 1] == 7 for image in images):
            raise RuntimeError("out of ideas")
        return super().align(images, boxes, denoise, looks, rolls)


def test_a_row_that_the_networks_fail_on_spoils_only_itself() -> None:
    served = handler()
    detector = ScriptedDetector(FACES)
    predictor = TrackingPredictor(
        served.parts.predictor.networks, detector, FailingAligner(), SETTINGS
    )
    parts = TrackParts(predictor, served.parts.checkpoint, served.parts.variants)
    served = TrackHandler(Path("unused"), load=lambda store, device: parts)
    good, bad, fine = (unpack(answer) for answer in served.handle([row(1), row(7), row(2)]))
    assert bad["error"]["type"] == "internal"
    assert good["outputs"]["status"] == fine["outputs"]["status"] == "tracking"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"smoothing": True, "time_s": None}, "time_s"),
        ({"time_s": "now"}, "time_s"),
        ({"time_s": float("nan")}, "time_s"),
        ({"variant": "crct"}, "variant"),
        ({"variant": ["dcrt"]}, "variant"),
    ],
)
def test_wrong_times_and_variants_are_refused_by_name(options: dict[str, Any], told: str) -> None:
    error = one(handler(), row(0, **options))["error"]
    assert error["type"] == "invalid-request"
    assert told in error["detail"]


def test_a_frame_that_is_too_large_is_refused() -> None:
    assert one(handler(), row(0, max_pixels=1000))["error"]["type"] == "too-many-pixels"


def test_a_row_without_a_picture_is_refused() -> None:
    error = one(handler(), pack({"inputs": {"time_s": 1.0}, "options": {}}))["error"]
    assert error["type"] == "invalid-request"


def test_smoothing_is_reported_and_off_by_default() -> None:
    assert one(handler(), row(0))["outputs"]["smoothing"] is False
    assert one(handler(), row(0, smoothing=True))["outputs"]["smoothing"] is True


def test_a_face_at_rest_is_held_steady_unless_asked_otherwise() -> None:
    assert one(handler(), row(0))["outputs"]["steady"] is True
    assert one(handler(), row(0, steady=False))["outputs"]["steady"] is False


def test_a_variant_can_be_asked_for() -> None:
    answer = one(handler(), row(0, variant="dfa-det"))
    assert answer["outputs"]["variant"] == "dfa-det"
    assert answer["outputs"]["faces"][0]["face_probability"] is None


def test_the_model_describes_itself() -> None:
    told = handler().describe()
    assert (told["name"], told["weights"], told["licence"]) == ("track", "dcrt", "Apache-2.0")
    assert {"dcrt", "crt", "bt", "dfa-det", "fle-prev"} <= set(told["variants"])
    assert "crct" not in told["variants"]


def test_rows_of_several_sessions_keep_their_own_states() -> None:
    served = handler()
    first = [unpack(a)["state"] for a in served.handle([row(0), row(1, max_faces=2)])]
    second = [unpack(a)["outputs"]["step"] for a in served.handle([row(2, first[0]), row(0)])]
    assert second == [2, 1]


@pytest.mark.parametrize("broken", ["shape", "missing"])
def test_a_state_of_wrong_tensors_starts_the_session_anew_and_is_no_error(broken: str) -> None:
    tracker = handler()
    state = unpack(tracker.handle([row(0)])[0])["state"]
    tensors, step = load_state(state, "dcrt", "ab" * 32, SCHEMA)
    if broken == "shape":
        tensors["face0.boxes"] = np.zeros((3, 1, 7))
    else:
        del tensors["session"]
    damaged = dump_state(tensors, "dcrt", "ab" * 32, SCHEMA, step)
    reply = unpack(tracker.handle([row(1, damaged)])[0])
    assert reply["outputs"]["status"] == "reset"
    assert any("starts anew" in note for note in reply["outputs"]["notes"])


def test_a_state_that_the_model_fails_on_is_given_up_and_the_frame_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tracker = handler()
    state = unpack(tracker.handle([row(0)])[0])["state"]
    step = tracker.parts.predictor.step

    def fails(images: Any, states: Any, *rest: Any) -> Any:
        if any(one is not None for one in states):
            raise RuntimeError("size of tensor a must match tensor b")
        return step(images, states, *rest)

    monkeypatch.setattr(tracker.parts.predictor, "step", fails)
    replies = [unpack(reply) for reply in tracker.handle([row(1, state), row(2)])]
    assert replies[0]["outputs"]["status"] == "reset"
    assert replies[0]["outputs"]["notes"] == [UNUSABLE]
    assert "outputs" in replies[1]
