"""The `affect` handler: bytes in and out, states handed through, a bad row spoils only itself."""

import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from handlers.affect import AffectHandler, AffectParts
from handlers.checkpoint import CheckpointError
from handlers.networks.variants import QUADRANTS
from handlers.predictors.affect.run import quadrant_of
from handlers.processing import audio_descriptors
from handlers.processing.audio_descriptors import MissingExtra
from handlers.processing.mel import RATE_HZ
from handlers.store import load_estimator
from handlers.torchserve.models import warm_up
from handlers.training.affect.single_recipe import load_affect
from handlers.wire import pack, unpack
from tests.handlers.affect_fakes import RATE, frame, networks, parts, save, save_affect, voice

NAMES = ("avi-gas", "vi-des")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    for name in NAMES:
        save(folder / name, figures={"ccc": 0.5})
    return folder


def handler(made: AffectParts) -> AffectHandler:
    return AffectHandler(Path("unused"), load=lambda store, device: made)


@pytest.fixture(scope="module")
def served(store: Path) -> AffectHandler:
    return handler(parts(store, *NAMES))


def png(number: int) -> bytes:
    buffer = BytesIO()
    Pillow.fromarray(frame(number)).save(buffer, "PNG")
    return buffer.getvalue()


def message(*numbers: int, **inputs: Any) -> dict[str, Any]:
    return {
        "inputs": {
            "frames": [frame(number) for number in numbers],
            "times_s": [number / RATE for number in numbers],
            "sound": {"start": 0, "pcm": voice(1.0)},
            **inputs,
        },
        "options": {},
    }


def one(served: AffectHandler, asked: dict[str, Any], state: bytes | None = None) -> dict[str, Any]:
    (answer,) = served.handle([pack(asked if state is None else {**asked, "state": state})])
    return unpack(answer)


def test_a_run_is_answered_with_its_frames_and_the_next_state(served: AffectHandler) -> None:
    answer = one(served, message(0, 1, 2))
    outputs = answer["outputs"]
    assert outputs["model"]["name"] == "affect"
    assert outputs["model"]["sha256"] == served.parts.checkpoints["avi-gas"].sha256
    assert (outputs["variant"], outputs["status"], outputs["notes"]) == ("avi-gas", "ok", [])
    assert set(outputs["timings_ms"]) == {"decode", "hear", "track", "encode", "estimate"}
    assert [told["time_s"] for told in outputs["frames"]] == [0.0, 0.04, 0.08]
    told = outputs["frames"][2]
    assert -1 <= told["valence"] <= 1
    assert -1 <= told["arousal"] <= 1
    assert tuple(told["quadrants"]) == QUADRANTS
    assert told["quadrant"] == quadrant_of(told["valence"], told["arousal"])
    assert len(told["attention"]) == len(told["attention_ages_s"]) == 2
    assert 0 < told["gate"] < 1
    assert told["used"] == ["face", "voice"]
    assert told["face"]["track_id"] == 1
    assert told["face"]["status"] == "tracking"
    assert isinstance(answer["state"], bytes)
    assert len(answer["state"]) <= 160 * 1024


def test_pictures_come_encoded_or_as_pixels(served: AffectHandler) -> None:
    pixels = one(served, message(0))["outputs"]["frames"]
    encoded = one(served, message(0, frames=[png(0)]))["outputs"]["frames"]
    assert pixels == encoded


def test_a_session_goes_on_from_its_state(served: AffectHandler) -> None:
    state = one(served, message(0, 1))["state"]
    later = one(served, message(2, 3, sound=None), state)["outputs"]
    whole = one(served, message(0, 1, 2, 3))["outputs"]
    assert later["status"] == "ok"
    assert len(later["frames"][1]["attention"]) == 3
    for name in ("valence", "arousal", "gate"):
        expected = whole["frames"][3][name]
        assert later["frames"][1][name] == pytest.approx(expected, abs=2e-3)


def test_sound_alone_is_taken_in(served: AffectHandler) -> None:
    answer = one(served, message())
    assert answer["outputs"]["frames"] == []
    later = one(served, message(0, sound=None), answer["state"])["outputs"]["frames"]
    assert later[0]["used"] == ["face", "voice"]


def test_a_moment_without_picture_and_sound_is_told_as_such(served: AffectHandler) -> None:
    (told,) = one(served, message(0, frames=[None], sound=None))["outputs"]["frames"]
    assert told["valence"] is told["arousal"] is told["quadrant"] is told["quadrants"] is None
    assert (told["used"], told["gate"], told["face"], told["attention"]) == ([], None, None, [])


def test_a_state_of_other_weights_starts_the_session_anew(
    served: AffectHandler, tmp_path: Path
) -> None:
    save(tmp_path / "avi-gas", seed=7)
    state = one(handler(parts(tmp_path, "avi-gas")), message(0))["state"]
    outputs = one(served, message(1), state)["outputs"]
    assert outputs["status"] == "reset"
    assert "anew" in outputs["notes"][0]
    assert "avi-gas" in outputs["notes"][0]
    assert outputs["frames"][0]["attention"] == []


def test_a_state_of_another_variant_starts_the_session_anew(served: AffectHandler) -> None:
    state = one(served, message(0))["state"]
    outputs = one(served, {**message(1), "options": {"variant": "vi-des"}}, state)["outputs"]
    assert (outputs["status"], outputs["variant"]) == ("reset", "vi-des")
    assert "vi-des" in outputs["notes"][0]
    assert outputs["model"]["sha256"] == served.parts.checkpoints["vi-des"].sha256


@pytest.mark.parametrize("cut", [0, 5, 40, -3])
def test_a_damaged_state_starts_the_session_anew(served: AffectHandler, cut: int) -> None:
    state = one(served, message(0))["state"][:cut]
    assert one(served, message(1), state)["outputs"]["status"] == "reset"


def test_a_bad_row_spoils_only_itself_and_gets_no_state(served: AffectHandler) -> None:
    good, bad = pack(message(0)), pack(message(0, frames=[png(0)[:60]]))
    answers = [unpack(answer) for answer in served.handle([good, bad, b"\xff", good])]
    assert answers[1]["error"]["type"] == "truncated-image"
    assert "frame 0" in answers[1]["error"]["detail"]
    assert answers[2]["error"]["type"] == "invalid-request"
    assert all("state" not in answer for answer in answers[1:3])
    frames = [answers[index]["outputs"]["frames"] for index in (0, 3)]
    for first, second in zip(*frames, strict=True):
        assert first["valence"] == pytest.approx(second["valence"], abs=1e-5)
        assert first["face"] == second["face"]


def test_rows_of_sessions_of_any_length_share_a_batch(served: AffectHandler) -> None:
    rows = [message(0, 1, 2), message(), message(4), message(*range(8))]
    answers = [unpack(answer)["outputs"] for answer in served.handle([pack(row) for row in rows])]
    assert [len(outputs["frames"]) for outputs in answers] == [3, 0, 1, 8]
    assert torch.is_inference_mode_enabled() is False


@pytest.mark.parametrize(
    ("inputs", "kind", "told"),
    [
        ({"frames": None}, "invalid-request", "frames"),
        ({"frames": [None] * 9, "times_s": list(range(9))}, "invalid-request", "8"),
        ({"frames": ["picture"]}, "invalid-request", "frame 0"),
        ({"frames": [b"picture"]}, "not-an-image", "frame 0"),
        ({"frames": [np.zeros((4, 4), np.uint8)]}, "invalid-image", "uint8"),
        ({"frames": [np.zeros((4, 4, 3), np.float32)]}, "invalid-image", "float32"),
        ({"frames": [np.zeros((0, 4, 3), np.uint8)]}, "invalid-image", "(0, 4, 3)"),
        ({"times_s": []}, "invalid-time", "1 numbers"),
        ({"times_s": None}, "invalid-time", "1 numbers"),
        ({"times_s": ["now"]}, "invalid-time", "now"),
        ({"times_s": [float("inf")]}, "invalid-time", "inf"),
        ({"times_s": [True]}, "invalid-time", "True"),
        ({"frames": [None, None], "times_s": [1.0, 1.0]}, "invalid-time", "increase"),
        ({"frames": [None, None], "times_s": [1.0, 0.5]}, "invalid-time", "0.5"),
        ({"sound": b"\x00\x01"}, "invalid-sound", "map"),
        ({"sound": {"start": 0.5, "pcm": voice(0.1)}}, "invalid-sound", "start"),
        ({"sound": {"start": 2**60, "pcm": voice(0.1)}}, "invalid-sound", "start"),
        ({"sound": {"start": 0, "pcm": b"\x00\x00"}}, "invalid-sound", "bytes"),
        ({"sound": {"start": 0, "pcm": np.zeros(9, np.float32)}}, "invalid-sound", "float32"),
        ({"sound": {"start": 0, "pcm": np.zeros((9, 2), np.int16)}}, "invalid-sound", "(9, 2)"),
        ({"sound": {"start": 0, "pcm": voice(61)}}, "invalid-sound", "60"),
    ],
)
def test_wrong_inputs_are_refused_by_name(
    served: AffectHandler, inputs: dict[str, Any], kind: str, told: str
) -> None:
    error = one(served, message(0, **inputs))["error"]
    assert error["type"] == kind
    assert told in error["detail"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"variant": "avi-sum"}, "avi-gas, vi-des"),
        ({"variant": ["avi-gas"]}, "variant"),
    ],
)
def test_a_variant_that_is_not_served_is_refused_by_name(
    served: AffectHandler, options: dict[str, Any], told: str
) -> None:
    error = one(served, {**message(0), "options": options})["error"]
    assert error["type"] == "invalid-request"
    assert told in error["detail"]


def test_frames_that_are_too_large_are_refused(served: AffectHandler) -> None:
    for picture in (png(0), frame(0)):
        asked = {**message(0, frames=[picture]), "options": {"max_pixels": 1000}}
        assert one(served, asked)["error"]["type"] == "too-many-pixels"


def test_time_does_not_run_backwards_between_rows(served: AffectHandler) -> None:
    state = one(served, message(3))["state"]
    for number in (3, 1):
        error = one(served, message(number), state)["error"]
        assert error["type"] == "invalid-time"


def test_the_model_describes_itself(served: AffectHandler) -> None:
    told = served.describe()
    assert (told["name"], told["weights"], told["licence"]) == ("affect", "avi-gas", "Apache-2.0")
    assert told["variants"] == ["avi-gas", "vi-des"]
    assert told["figures"] == {"ccc": 0.5}
    assert told["sha256"] == served.parts.checkpoints["avi-gas"].sha256


def test_without_the_default_another_variant_answers(store: Path) -> None:
    only = handler(parts(store, "vi-des"))
    assert only.describe()["weights"] == "vi-des"
    assert one(only, message(0))["outputs"]["variant"] == "vi-des"


def test_a_first_batch_warms_the_model(served: AffectHandler) -> None:
    warm_up(served, "affect", [1, 2])


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    made = networks("avi-gas")
    saved = save_affect(made, tmp_path / "avi-gas", {"context": 1.4}, "3")
    loaded, checkpoint = load_affect(tmp_path / "avi-gas")
    assert (checkpoint.version, checkpoint.sha256) == ("3", saved.sha256)
    assert loaded.config == made.config
    for name, tensor in made.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], tensor, atol=1e-3, rtol=1e-3)


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    other = {"context": 1.4, "network": {"modalities": ["voice"], "recurrent": True}}
    save_affect(networks("vi-de"), tmp_path / "vi-de", other)
    with pytest.raises(CheckpointError, match="do not fit"):
        load_affect(tmp_path / "vi-de")


def test_a_store_without_affect_says_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        AffectHandler(tmp_path)


def test_a_variant_whose_library_is_missing_is_refused_with_the_extra(
    store: Path,
) -> None:
    made = parts(store, "avi-gas")
    missing = "eGeMAPS descriptors need opensmile: pip install 'countenance[affect-egemaps]'"
    lacking = AffectParts(made.predictor, made.checkpoints, made.tracker, {"aeg-cd-sz": missing})
    asked = {**message(0), "options": {"variant": "aeg-cd-sz"}}
    error = one(handler(lacking), asked)["error"]
    assert "affect-egemaps" in error["detail"]


def test_without_opensmile_the_error_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path / "aeg-cd-sz")
    monkeypatch.setitem(sys.modules, "opensmile", None)
    audio_descriptors._extractor.cache_clear()
    with pytest.raises(MissingExtra, match="affect-egemaps"):
        load_estimator(tmp_path / "aeg-cd-sz")
    audio_descriptors._extractor.cache_clear()


def test_sound_in_the_far_future_costs_nothing(served: AffectHandler) -> None:
    late = {"start": 10**6 * RATE_HZ, "pcm": voice(0.5)}
    outputs = one(served, message(0, sound=late))["outputs"]
    assert outputs["frames"][0]["used"] == ["face"]
