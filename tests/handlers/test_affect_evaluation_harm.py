"""What is said of attention, of the gate, and of models whose face or voice goes bad."""

import math
from dataclasses import replace

import numpy as np
import pytest

from handlers.evaluation.affect.clips import DESTROYED, HARMS, Harm, LabelledClip, Units
from handlers.evaluation.affect.harmed import GateMove, gate_move, survival, together
from handlers.evaluation.affect.portions import (
    attention_portions,
    gain_over,
    gate_portions,
    spread,
    undecided,
)
from tests.handlers.affect_clips import NAN, pair, trace

WEIGHTS = np.array([[0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0.4, 0.6], [0.1, 0.2, 0.3, 0.4]], np.float32)


def test_the_spread_of_attention_is_between_the_states_held() -> None:
    found = spread(trace([0.0] * 4, [0.0] * 4, weights=WEIGHTS))
    assert np.isnan(found[:2]).all()
    assert found[2:] == pytest.approx([0.2, 0.3])
    assert np.isnan(spread(trace([0.0], [0.0]))).all()


def test_a_gate_is_undecided_by_its_distance_from_the_nearer_end() -> None:
    found = undecided(trace([0.0] * 3, [0.0] * 3, gate=[0.1, 0.9, NAN]))
    assert found[:2] == pytest.approx([0.1, 0.1])
    assert np.isnan(found[2])


def gated_models() -> dict[str, Units]:
    """A gated model that is right where it is decided, another that is right elsewhere."""
    labels = np.tile(np.linspace(-0.5, 0.5, 10), 2)
    gate = np.repeat([0.05, 0.5], 10)
    wrong, right = labels[::-1], labels
    decided = np.where(gate < 0.25, right, wrong)
    weights = np.stack([1 - 0.5 * (gate < 0.25), 0.5 * (gate < 0.25) + 1e-6], axis=1)
    gas = trace(decided.tolist(), labels.tolist(), weights=weights.astype(np.float32), gate=gate)
    other = trace(np.where(gate < 0.25, 0.5 * right, right).tolist(), labels.tolist())
    return {"vi-des": {"all": [other]}, "avi-gas": {"all": [gas]}}


def test_gate_portions_measure_every_model_where_the_gate_is_decided() -> None:
    found = {(p.level, p.model): p for p in gate_portions(gated_models())}
    gas, other = found[0.25, "avi-gas"], found[0.25, "vi-des"]
    assert gas.share == other.share == pytest.approx(0.5)
    assert gas.agreement.valence.rmse == pytest.approx(0, abs=1e-6)
    assert other.agreement.valence.rmse > 0.1
    assert gas.gain is None
    assert other.gain is not None
    assert other.gain.rmse == pytest.approx((1, 1), abs=1e-4)
    assert found[0.0625, "avi-gas"].share == pytest.approx(0.5)


def test_attention_portions_are_those_above_the_level() -> None:
    models = gated_models()
    found = {(p.level, p.model): p for p in attention_portions(models)}
    # The weights are 0.5, 0.5 where the gate is decided, else nearly all on one state.
    assert found[0.5, "avi-gas"].share == pytest.approx(0.5)
    assert found[0.5, "avi-gas"].agreement.valence.rmse > 0.1
    assert {p.decider for p in attention_portions(models)} == {"avi-gas"}


def test_a_single_modality_is_measured_where_its_own_attention_spreads() -> None:
    weights = np.tile(np.array([[0.3, 0.7]], np.float32), (4, 1))
    labels = [0.1, 0.2, 0.3, 0.5]
    models: dict[str, Units] = {
        "vi-de": {"all": [trace([0.2, 0.1, 0.3, 0.4], labels)]},
        "vi-des": {"all": [trace([0.1, 0.2, 0.3, 0.4], labels, weights=weights)]},
    }
    found = {(p.level, p.model): p for p in attention_portions(models)}
    assert found[0.25, "vi-des"].share == 1
    assert found[0.5, "vi-des"].share == 0
    assert found[0.25, "vi-de"].gain is None
    gain = found[0.25, "vi-des"].gain
    assert gain is not None
    assert gain.rmse[0] > 0
    assert gain.cor[0] > 0


def test_a_gain_is_a_share_of_the_other_models_figure() -> None:
    ahead, behind = pair([0.1, 0.2], [0.2, 0.3]), pair([0.0, 0.1], [0.2, 0.3])
    assert gain_over(ahead, behind).rmse == pytest.approx((0.5, 0.5), abs=1e-5)
    assert gain_over(ahead, behind).cor == pytest.approx((0, 0), abs=1e-5)


def test_the_joined_models_are_held_against_the_better_single_one() -> None:
    labels = [0.1, 0.2, 0.3, 0.5]
    found = survival(
        "face destroyed",
        {
            "vi-des": {"all": [trace([0.2, 0.2, 0.2, 0.2], labels)]},
            "au-des": {"all": [trace([0.1, 0.2, 0.3, 0.4], labels)]},
            "avi-gas": {"all": [trace([0.1, 0.2, 0.3, 0.5], labels)]},
        },
    )
    assert found.better == "au-des"
    assert found.margin["avi-gas"] == pytest.approx(
        1 - found.agreements["au-des"].average.ccc, abs=1e-5
    )


def test_a_gate_that_moves_to_the_healthy_side_notices() -> None:
    blur, voice_noise = HARMS[0], HARMS[3]
    before = [trace([0.0] * 2, [0.0] * 2, gate=[0.5, 0.5], clip=name) for name in "ab"]
    after = [trace([0.0] * 2, [0.0] * 2, gate=[0.3, 0.3], clip="a"),
             trace([0.0] * 2, [0.0] * 2, gate=[0.45, 0.45], clip="b")]  # fmt: skip
    face = gate_move("avi-gas", blur, before, after)
    assert (face.stretches, face.noticed) == (2, 0.5)
    assert face.move == pytest.approx(0.125)
    assert gate_move("avi-gas", voice_noise, before, after).move == pytest.approx(-0.125)


def test_clips_are_judged_by_stretches_of_three_seconds() -> None:
    blur = HARMS[0]
    before = trace([0.0] * 200, [0.0] * 200, gate=[0.5] * 200)  # 8 s
    gates = [0.5] * 70 + [0.45] * 65 + [0.2] * 65
    found = gate_move("avi-gas", blur, [before], [replace(before, gate=np.array(gates))])
    assert (found.stretches, found.strength) == (3, "sigma 5 px of a face of 128 px")
    assert found.noticed == pytest.approx(1 / 3)


def test_all_harms_together_count_every_stretch_alike() -> None:
    one = GateMove("avi-gas", "blur", "face", "", 3, 0, 0.2, 1.0)
    other = GateMove("avi-gas", "noise", "voice", "", 1, 2, 0.0, 0.0)
    none = GateMove("avi-gas", "low level", "voice", "", 0, 4, NAN, NAN)
    found = together([one, other, none])
    assert (found.stretches, found.forced) == (4, 6)
    assert (found.move, found.noticed) == pytest.approx((0.15, 0.75))


def test_a_harm_that_closes_a_side_by_itself_is_no_stretch() -> None:
    before = trace([0.0] * 2, [0.0] * 2, gate=[0.5, 0.5])
    gone = replace(before, face=np.zeros(2, np.bool_))
    found = gate_move("avi-gas", HARMS[0], [before], [gone])
    assert (found.stretches, found.forced) == (0, 1)
    assert math.isnan(found.noticed)


def a_clip() -> LabelledClip:
    rng = np.random.default_rng(1)
    face = rng.integers(60, 200, (128, 128, 3), dtype=np.uint8)
    sound = (8000 * np.sin(np.arange(22_050) / 20)).astype(np.int16)
    return LabelledClip(
        "clip", {}, np.arange(5) / 5, np.zeros((5, 2), np.float32), [face] * 4 + [None], sound
    )


@pytest.mark.parametrize(
    "harm", [*HARMS, *DESTROYED], ids=lambda harm: f"{harm.modality}: {harm.name}"
)
def test_a_harm_changes_its_modality_alone_and_always_alike(harm: Harm) -> None:
    clip = a_clip()
    harmed, again = harm(clip, seed=3), harm(clip, seed=3)
    assert harmed.faces[4] is None
    touched = not np.array_equal(harmed.faces[0], clip.faces[0])
    heard = not np.array_equal(harmed.pcm, clip.pcm)
    assert (touched, heard) == ((True, False) if harm.modality == "face" else (False, True))
    assert np.array_equal(harmed.faces[0], again.faces[0])
    assert np.array_equal(harmed.pcm, again.pcm)


def test_a_thinned_clip_keeps_its_sound() -> None:
    thin = a_clip().thinned(2)
    assert thin.times_s.tolist() == [0.0, 0.4, 0.8]
    assert thin.faces[2] is None
    assert thin.pcm is not None
    assert len(thin.pcm) == 22_050
