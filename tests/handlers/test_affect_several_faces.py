"""Faces and voices together: who is given the voice, several faces apart, photographs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from handlers.affect import AffectHandler
from handlers.base import InputError
from handlers.predictors.affect.estimator import AffectState
from handlers.predictors.affect.predictor import AffectPredictor
from handlers.predictors.affect.run import AffectRow, FrameAffect, Heard, quadrant_of
from handlers.wire import Request
from tests.handlers.affect_fakes import RATE, frame, parts, save, voice
from tests.handlers.tracking_fakes import Faces, box

TWO: Faces = {number: [box(90, 100), box(230, 120)] for number in range(40)}
ONE: Faces = {number: [box(90, 100)] for number in range(40)}
NONE: Faces = {number: [] for number in range(40)}
NAMES = ("expressions", "voice", "vi-des")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    for name in NAMES:
        save(folder / name)
    return folder


def predictor(store: Path, faces: Faces) -> AffectPredictor:
    return parts(store, *NAMES, "face-voice", faces=faces).predictor


def row(variant: str, frames: int = 3, sound: bool = True, max_faces: int = 1) -> AffectRow:
    heard = Heard(0, voice(frames / RATE + 1.6)) if sound else None
    times_s = [number / RATE for number in range(frames)]
    pictures = [frame(number) for number in range(frames)]
    return AffectRow(pictures, times_s, heard, None, variant, max_faces=max_faces)


def answers(store: Path, faces: Faces, one: AffectRow) -> tuple[FrameAffect, ...]:
    (result,) = predictor(store, faces).step([one])
    return result.frames


def test_without_speech_the_estimate_is_that_of_the_face(store: Path) -> None:
    quiet = answers(store, ONE, row("face-voice", sound=False))
    seen = answers(store, ONE, row("expressions"))
    assert [(one.valence, one.arousal) for one in quiet] == [
        (one.valence, one.arousal) for one in seen
    ]
    assert quiet[-1].used == ("face",)
    assert quiet[-1].gate == 1


def test_a_voice_moves_arousal_and_leaves_valence_to_the_face(store: Path) -> None:
    both = answers(store, ONE, row("face-voice"))[-1]
    seen = answers(store, ONE, row("expressions"))[-1]
    heard = answers(store, ONE, row("voice"))[-1]
    assert both.used == ("face", "voice")
    assert both.valence == pytest.approx(seen.valence)
    assert both.arousal is not None
    assert seen.arousal is not None
    assert heard.arousal is not None
    assert both.arousal == pytest.approx((seen.arousal + heard.arousal) / 2, abs=0.02)


def test_a_voice_alone_has_arousal_and_no_valence(store: Path) -> None:
    last = answers(store, NONE, row("face-voice"))[-1]
    assert (last.valence, last.used, last.gate) == (None, ("voice",), 0.0)
    assert last.arousal is not None
    assert last.expressions == ()


def test_of_several_faces_each_is_estimated_by_itself_and_the_voice_is_nobodys(
    store: Path,
) -> None:
    last = answers(store, TWO, row("face-voice", max_faces=2))[-1]
    assert last.face is not None
    assert len(last.others) == 1
    assert [one.used for one in (last, *last.others)] == [("face",), ("face",)]
    assert last.others[0].face is not None
    assert last.others[0].face.track_id != last.face.track_id
    assert last.others[0].valence != last.valence
    assert last.voice is not None
    alone = answers(store, ONE, row("expressions"))[-1]
    assert last.valence == pytest.approx(alone.valence, abs=1e-3)


def test_the_only_face_is_given_the_voice_however_many_are_looked_for(store: Path) -> None:
    last = answers(store, ONE, row("face-voice", max_faces=4))[-1]
    assert (last.used, last.others, last.voice) == (("face", "voice"), (), None)


@pytest.mark.parametrize("variant", ["face-voice", "vi-des"])
def test_a_session_of_several_faces_goes_on_from_its_state(store: Path, variant: str) -> None:
    made = predictor(store, TWO)
    whole = row(variant, frames=6, sound=False, max_faces=2)
    first = replace(whole, frames=whole.frames[:3], times_s=whole.times_s[:3])
    rest = replace(whole, frames=whole.frames[3:], times_s=whole.times_s[3:])
    (expected,) = made.step([whole])
    (before,) = made.step([first])
    state = AffectState.from_tensors(before.state.to_tensors(), before.state.step)
    (after,) = made.step([replace(rest, state=state)])
    for one, other in zip(expected.frames[3:], after.frames, strict=True):
        for ours, theirs in zip((one, *one.others), (other, *other.others), strict=True):
            assert ours.valence == pytest.approx(theirs.valence, abs=2e-3)


def test_near_the_middle_of_the_circumplex_is_neutral() -> None:
    assert quadrant_of(0.01, -0.05) == "neutral"
    assert quadrant_of(0.4, -0.05) == "positive-passive"
    assert quadrant_of(-0.2, 0.3) == "negative-active"


def handler(store: Path) -> AffectHandler:
    return AffectHandler(store, load=lambda *_: parts(store, *NAMES, "face-voice", faces=ONE))


def test_a_photograph_has_an_estimate_of_every_box(store: Path) -> None:
    served = handler(store)
    boxes = [[60.0, 60.0, 120.0, 120.0], [150.0, 60.0, 220.0, 130.0]]
    read = served.decode(Request({"frames": [frame(0)], "boxes": boxes}, {}, None))
    ((outputs, state),) = served.compute([read])
    assert state is None
    assert outputs["variant"] == "face-voice"
    first, second = outputs["faces"]
    assert first["valence"] != second["valence"]
    assert sum(first["expressions"].values()) == pytest.approx(1, abs=1e-4)
    assert 0 < first["confidence"] <= 1


def test_a_photograph_without_faces_has_no_estimates(store: Path) -> None:
    served = handler(store)
    read = served.decode(Request({"frames": [frame(0)], "boxes": []}, {"variant": "vi-des"}, None))
    assert served.compute([read])[0][0]["faces"] == []


def test_a_variant_that_only_hears_is_refused_for_photographs(store: Path) -> None:
    asked = Request({"frames": [frame(0)], "boxes": []}, {"variant": "voice"}, None)
    seeing = "voice only hears; of photographs, ask one of expressions, face-voice, vi-des"
    with pytest.raises(InputError, match=seeing):
        handler(store).decode(asked)


@pytest.mark.parametrize("frames", [[], [None], [np.zeros((9, 9, 3), np.uint8)] * 2])
def test_boxes_need_exactly_one_picture(store: Path, frames: list[object]) -> None:
    with pytest.raises(InputError, match="exactly one picture"):
        handler(store).decode(Request({"frames": frames, "boxes": []}, {}, None))
