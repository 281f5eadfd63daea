"""The affect predictor: split runs, sessions apart, missing modalities, small states."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from handlers.predictors.affect.estimator import AffectState
from handlers.predictors.affect.predictor import AffectPredictor
from handlers.predictors.affect.run import AffectResult, AffectRow, FrameAffect, Heard, quadrant_of
from handlers.predictors.tracking.results import Status
from handlers.processing.mel import RATE_HZ
from tests.handlers.affect_fakes import RATE, frame, parts, save, voice
from tests.handlers.tracking_fakes import ScriptedDetector

NAMES = ("avi-gas", "avi-cas", "vi-des", "au-des", "vi-de", "au-de", "anclaf-s", "aeg-cd", "disc")
MOST_STATE_BYTES = 160 * 1024
# What a followed face needs at most; the scripted tracker keeps next to nothing.
TRACKER_BYTES = 24 * 1024
# What half precision of what was heard may change where a run is split.
ROUNDING = 2e-3


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    for name in NAMES:
        save(folder / name)
    return folder


@pytest.fixture(scope="module")
def predictor(store: Path) -> AffectPredictor:
    return parts(store, *NAMES).predictor


def row(
    numbers: Sequence[int], variant: str = "avi-gas", seed: int = 0, sound: bool = True
) -> AffectRow:
    """Moments of a session from its start on; its sound reaches 0.4 s ahead of each run's last."""
    begin = numbers[0] / RATE + 0.4 if numbers[0] else 0.0
    end = (numbers[-1] + 1) / RATE + 0.4
    heard = Heard(round(begin * RATE_HZ), voice(end - begin, seed, begin))
    return AffectRow(
        [frame(number, seed) for number in numbers],
        [number / RATE for number in numbers],
        heard if sound else None,
        None,
        variant,
    )


def stored(state: AffectState) -> AffectState:
    """A state after it was written and read."""
    return AffectState.from_tensors(state.to_tensors(), state.step)


def run(predictor: AffectPredictor, rows: Sequence[AffectRow]) -> list[FrameAffect]:
    """Rows of one session, one after the other, its state stored in between."""
    frames: list[FrameAffect] = []
    state = None
    for one in rows:
        (result,) = predictor.step([replace(one, state=state)])
        frames += result.frames
        state = stored(result.state)
    return frames


def alone(predictor: AffectPredictor, one: AffectRow) -> AffectResult:
    (result,) = predictor.step([one])
    return result


def numbers_of(one: FrameAffect) -> torch.Tensor:
    quadrants = [] if one.quadrants is None else one.quadrants.tolist()
    gate = [] if one.gate is None else [one.gate]
    return torch.tensor(
        [one.valence, one.arousal, *quadrants, *gate, *one.attention, *one.attention_ages_s]
    )


def assert_same(
    frames: Sequence[FrameAffect], others: Sequence[FrameAffect], atol: float = 1e-4
) -> None:
    assert [one.used for one in frames] == [one.used for one in others]
    for one, other in zip(frames, others, strict=True):
        assert_close(numbers_of(one), numbers_of(other), atol=atol, rtol=0)


@pytest.mark.parametrize("variant", NAMES)
def test_eight_frames_in_one_row_equal_eight_rows_of_one(
    predictor: AffectPredictor, variant: str
) -> None:
    heard = row(range(8), variant).sound
    joined = run(predictor, [row(range(8), variant)])
    split = [replace(row([n], variant), sound=heard if n == 0 else None) for n in range(8)]
    assert_same(joined, run(predictor, split), ROUNDING)
    assert [one.time_s for one in joined] == [n / RATE for n in range(8)]


def test_what_fails_beside_the_tracker_fails_the_step_and_no_later_one(
    predictor: AffectPredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("no memory left")

    with monkeypatch.context() as patched:
        patched.setattr(predictor.estimators["avi-gas"], "read", fail)
        with pytest.raises(RuntimeError, match="no memory left"):
            predictor.step([row(range(8))])
    assert len(alone(predictor, row(range(8))).frames) == 8


def test_a_sequence_in_two_runs_equals_it_in_four(predictor: AffectPredictor) -> None:
    sound = row(range(16)).sound
    halves = [row(range(8)), row(range(8, 16))]
    quarters = [row(range(n, n + 4)) for n in (0, 4, 8, 12)]
    halves = [replace(one, sound=sound if i == 0 else None) for i, one in enumerate(halves)]
    quarters = [replace(one, sound=sound if i == 0 else None) for i, one in enumerate(quarters)]
    assert_same(run(predictor, halves), run(predictor, quarters), ROUNDING)


@pytest.mark.parametrize("variant", ["avi-gas", "vi-des"])
def test_sessions_in_one_batch_equal_each_by_itself(
    predictor: AffectPredictor, variant: str
) -> None:
    rows = [row(range(3), variant), row(range(5), variant, seed=1), row([0], "au-des", seed=2)]
    together = predictor.step(rows)
    for one, result in zip(rows, together, strict=True):
        assert_same(result.frames, alone(predictor, one).frames)


def test_interleaved_sessions_equal_separate_ones(predictor: AffectPredictor) -> None:
    first = [row(range(n, n + 2)) for n in (0, 2, 4)]
    second = [row(range(n, n + 2), seed=5) for n in (0, 2, 4)]
    states: list[AffectState | None] = [None, None]
    frames: list[list[FrameAffect]] = [[], []]
    for pair in zip(first, second, strict=True):
        asked = [replace(one, state=state) for one, state in zip(pair, states, strict=True)]
        for index, result in enumerate(predictor.step(asked)):
            frames[index] += result.frames
            states[index] = stored(result.state)
    assert_same(frames[0], run(predictor, first))
    assert_same(frames[1], run(predictor, second))


def test_the_past_and_the_sound_matter(predictor: AffectPredictor) -> None:
    frames = run(predictor, [row(range(4))])
    fresh = alone(predictor, replace(row([3]), sound=row(range(4)).sound)).frames
    assert not torch.allclose(numbers_of(frames[3])[:2], numbers_of(fresh[0])[:2], atol=1e-3)
    other = alone(predictor, replace(row([3]), sound=row(range(4), seed=9).sound)).frames
    assert not torch.allclose(numbers_of(other[0]), numbers_of(fresh[0]), atol=1e-4)


def test_sound_ahead_of_a_frame_is_used(predictor: AffectPredictor) -> None:
    sound = Heard(0, voice(2.0))
    ahead = alone(predictor, replace(row([0]), sound=sound)).frames[0]
    late = alone(predictor, replace(row([0]), sound=Heard(0, sound.pcm[:8000]))).frames[0]
    assert ahead.used == late.used == ("face", "voice")
    assert not torch.allclose(numbers_of(ahead), numbers_of(late), atol=1e-4)


def test_a_run_of_sound_alone_is_heard_by_the_next_frame(predictor: AffectPredictor) -> None:
    whole = row([0])
    (heard,) = predictor.step([AffectRow([], [], whole.sound, None, "avi-gas")])
    assert heard.frames == ()
    later = alone(predictor, replace(whole, sound=None, state=stored(heard.state)))
    assert_same(later.frames, alone(predictor, whole).frames, ROUNDING)


def test_without_sound_the_gate_is_all_face(predictor: AffectPredictor) -> None:
    for heard in (None, Heard(0, np.zeros(40_000, np.int16))):
        (one,) = alone(predictor, replace(row([0]), sound=heard)).frames
        assert (one.used, one.gate) == (("face",), 1.0)
        assert one.valence is not None


def test_without_a_picture_the_gate_is_all_voice(predictor: AffectPredictor) -> None:
    (one,) = alone(predictor, replace(row([0]), frames=[None])).frames
    assert (one.used, one.gate, one.face) == (("voice",), 0.0, None)
    assert one.valence is not None


def test_without_either_there_is_no_estimate_and_the_memory_passes_by(
    predictor: AffectPredictor,
) -> None:
    with_hole = replace(row(range(4), sound=False), frames=[frame(0), None, None, frame(3)])
    holes = alone(predictor, with_hole).frames
    assert [one.used for one in holes] == [("face",), (), (), ("face",)]
    assert holes[1].valence is holes[1].quadrant is holes[1].gate is None
    assert (holes[1].attention, holes[1].quadrants) == ((), None)
    assert_close(torch.tensor(holes[3].attention_ages_s), torch.tensor([0.12]))
    seen = replace(with_hole, frames=[frame(0), frame(3)], times_s=[0.0, 0.12])
    assert_same([holes[0], holes[3]], alone(predictor, seen).frames)


def test_a_lost_face_is_reported_and_not_used(store: Path) -> None:
    lost = parts(store, "avi-gas", lost={1: 0.1}).predictor
    frames = alone(lost, row(range(3))).frames
    assert [one.used for one in frames] == [("face", "voice"), ("voice",), ("face", "voice")]
    assert frames[1].gate == 0.0
    assert frames[1].face is not None
    assert frames[1].face.status is Status.LOST


def test_nobody_in_sight_leaves_the_voice(store: Path) -> None:
    nobody = parts(store, "avi-gas", "vi-des", faces={}).predictor
    (one,) = alone(nobody, row([0])).frames
    assert (one.used, one.face) == (("voice",), None)
    (one,) = alone(nobody, row([0], "vi-des")).frames
    assert (one.used, one.valence) == ((), None)


@pytest.mark.parametrize(("rate", "searched"), [(25.0, [0, 4]), (5.0, list(range(8)))])
def test_without_a_face_the_detector_looks_by_time(
    store: Path, rate: float, searched: list[int]
) -> None:
    nobody = parts(store, "vi-des", faces={}).predictor
    times_s = [number / rate for number in range(8)]
    alone(nobody, replace(row(range(8), "vi-des"), times_s=times_s))
    detector = nobody.tracker._detector
    assert isinstance(detector, ScriptedDetector)
    assert [number for call in detector.calls for number in call] == searched


def test_a_voice_alone_is_not_looked_for_in_pictures(predictor: AffectPredictor) -> None:
    result = alone(predictor, row([0], "au-des"))
    assert result.frames[0].used == ("voice",)
    assert result.frames[0].face is result.state.tracker is None


def test_attention_sees_the_last_eight_states_with_their_ages(predictor: AffectPredictor) -> None:
    frames = run(predictor, [row(range(6)), row(range(6, 12))])
    assert [len(one.attention) for one in frames] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 8, 8, 8]
    assert sum(frames[-1].attention) == pytest.approx(1, abs=1e-3)
    ages = torch.tensor(frames[-1].attention_ages_s)
    assert_close(ages, torch.arange(8, 0, -1) / RATE, atol=1e-6, rtol=0)


@pytest.mark.parametrize("variant", ["vi-de", "aeg-cd", "disc", "anclaf-s"])
def test_variants_without_attention_or_gate_report_none(
    predictor: AffectPredictor, variant: str
) -> None:
    frames = run(predictor, [row(range(2), variant), row([2], variant)])
    assert all(one.attention == one.attention_ages_s == () for one in frames)
    assert all(one.gate is None and one.valence is not None for one in frames)


def test_a_single_frame_variant_forgets_its_past(predictor: AffectPredictor) -> None:
    whole = row(range(4), "au-de")
    (last,) = alone(predictor, replace(row([3], "au-de"), sound=whole.sound)).frames
    assert_same(run(predictor, [whole])[3:], [last])


def test_quadrants_are_probabilities(predictor: AffectPredictor) -> None:
    for variant in ("avi-gas", "avi-cas", "vi-des"):
        (one,) = alone(predictor, row([0], variant)).frames
        assert one.quadrants is not None
        assert one.quadrants.sum() == pytest.approx(1, abs=1e-5)
        assert one.quadrant is not None


def test_without_quadrants_the_signs_name_one(predictor: AffectPredictor) -> None:
    (one,) = alone(predictor, row([0], "aeg-cd")).frames
    assert one.quadrants is None
    assert one.valence is not None
    assert one.arousal is not None
    assert one.quadrant == quadrant_of(one.valence, one.arousal)
    assert quadrant_of(-0.1, -0.2) == "negative-passive"
    assert quadrant_of(0.1, 0.2) == "positive-active"


def test_what_nobody_listens_to_is_not_kept(predictor: AffectPredictor) -> None:
    deaf, hearing = (alone(predictor, row([0], name)).state for name in ("vi-des", "avi-gas"))
    assert state_bytes(deaf) < 4096 < state_bytes(hearing)


def test_the_state_after_a_long_session_is_small(predictor: AffectPredictor) -> None:
    state = None
    for n in range(0, 40, 8):
        asked = replace(row(range(n, n + 8)), sound=Heard(n * 9000, voice(9000 * 8 / RATE_HZ)))
        state = stored(alone(predictor, replace(asked, state=state)).state)
    assert state is not None
    assert state_bytes(state) + TRACKER_BYTES <= MOST_STATE_BYTES


def state_bytes(state: AffectState) -> int:
    return sum(one.nbytes for one in state.to_tensors().values())


@pytest.mark.parametrize("name", ["avi-gas", "vi-des"])
def test_compact_states_are_within_their_limit(tmp_path: Path, name: str) -> None:
    save(tmp_path / name, "compact")
    served = parts(tmp_path, name).predictor
    state = alone(served, replace(row([0], name), sound=Heard(0, voice(8)))).state
    assert state_bytes(state) + TRACKER_BYTES <= MOST_STATE_BYTES
