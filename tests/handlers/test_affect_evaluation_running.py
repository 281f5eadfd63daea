"""Estimators over clips: together as alone, nothing encoded twice, and the decibels of a clip."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from torch import Tensor

from handlers.engines.torch_engine import TorchEngine
from handlers.evaluation.affect.clips import LabelledClip
from handlers.evaluation.affect.running import run, run_all
from handlers.evaluation.affect.sets import EvaluationSet
from handlers.networks.affect import AffectNetworks, Branch
from handlers.predictors.affect.estimator import Estimator, Moment, Reading
from handlers.predictors.affect.latent import LatentEstimator
from handlers.processing.mel import RATE_HZ
from tests.handlers.affect_clips import clip, equal, estimator
from tests.handlers.affect_folders import speech


@pytest.mark.parametrize("name", ["vi-de", "avi-gas"])
def test_clips_run_together_as_they_run_alone(name: str) -> None:
    clips, model = [clip("one"), clip("other", 3)], estimator(name)
    together = run(model, clips)
    assert all(
        equal(one, run(model, [alone])[0]) for one, alone in zip(together, clips, strict=True)
    )
    assert [trace.clip for trace in together] == ["one", "other"]


def test_models_run_together_as_they_run_alone() -> None:
    clips = [clip("one"), clip("other", 3)]
    still = replace(clips[0], faces=[clips[0].faces[0]] * 3 + [clips[0].faces[1]])
    names = ["vi-de", "vi-des", "au-des", "avi-gas", "disc"]
    together = run_all({name: estimator(name) for name in names}, [still, clips[1]])
    for name in names:
        alone = run(estimator(name), [still, clips[1]])
        assert all(equal(*pair) for pair in zip(together[name], alone, strict=True))


def networks_of(model: Estimator) -> AffectNetworks:
    """The module behind an estimator's engine."""
    assert isinstance(model, LatentEstimator)
    assert isinstance(model.engine, TorchEngine)
    assert isinstance(model.engine.network, AffectNetworks)
    return model.engine.network


def test_what_models_have_in_common_is_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    models = {"vi-de": estimator("vi-de"), "vi-des": estimator("vi-des"), "vi": estimator("vi", 1)}
    one, other = (networks_of(models[name]) for name in ("vi-de", "vi-des"))
    other.branches.load_state_dict(one.branches.state_dict())
    encoded, forward = [], Branch.forward

    def counted(branch: Branch, inputs: Tensor) -> tuple[Tensor, Tensor]:
        encoded.append(len(inputs))
        return forward(branch, inputs)

    monkeypatch.setattr(Branch, "forward", counted)
    still = clip("still", 6, sound=False)
    run_all(models, [replace(still, faces=[still.faces[0].copy() for _ in range(6)])])
    assert encoded[3:] == [1, 1]  # behind the noise that tells the three branches apart


def test_a_moment_without_anything_to_use_has_no_estimate() -> None:
    silent = clip("silent", 3, sound=False)
    faceless = LabelledClip("x", {}, silent.times_s, silent.labels, [None, silent.faces[1], None])
    (trace,) = run(estimator("avi-gas"), [faceless])
    assert np.isfinite(trace.estimates[:, 0]).tolist() == [False, True, False]
    assert trace.face.tolist() == [False, True, False]
    assert trace.gate[1] == 1
    assert not run(estimator("au-de"), [silent])[0].voice.any()


def test_a_face_that_stays_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    still = clip("still", 6, sound=False)
    still = replace(still, faces=[still.faces[0]] * 4 + [still.faces[1]] * 2)
    model, counts = estimator("vi-des"), []
    expected, read = run(model, [still])[0], model.read

    def counted(moments: Sequence[Moment]) -> list[Reading | None]:
        counts.append(len(moments))
        return read(moments)

    monkeypatch.setattr(model, "read", counted)
    assert equal(run(model, [still])[0], expected)
    assert counts == [2]
    assert not np.allclose(expected.estimates[3], expected.estimates[5])


def test_sound_of_more_than_a_minute_is_heard_to_its_end() -> None:
    pcm = np.zeros(70 * RATE_HZ, np.int16)
    pcm[66 * RATE_HZ :] = speech(4)
    times = np.array([1.0, 30.0, 68.0])
    long = LabelledClip("long", {}, times, np.zeros((3, 2), np.float32), [None] * 3, pcm)
    assert run(estimator("au-de"), [long])[0].voice.tolist() == [False, False, True]


def test_all_of_the_data_may_be_degraded_the_same_way_each_time() -> None:
    given = EvaluationSet("clips", [clip("a", 4), clip("b", 4)], folds=[[clip("a", 4)]])
    worse, again = given.degraded("noise"), given.degraded("noise")
    for before, after, repeated in zip(given.clips, worse.clips, again.clips, strict=True):
        assert before.pcm is not None
        assert after.pcm is not None
        assert not np.array_equal(before.pcm, after.pcm)
        assert np.array_equal(after.pcm, repeated.pcm)
        assert not np.array_equal(before.faces[0], after.faces[0])
        assert np.array_equal(after.faces[0], repeated.faces[0])
    assert np.array_equal(worse.folds[0][0].faces[0], worse.clips[0].faces[0])
    assert "All degraded by noise (face: variance" in worse.note
    dark = given.degraded("darkness").clips[0]
    assert dark.pcm is given.clips[0].pcm
    assert np.mean(dark.faces[0]) < np.mean(given.clips[0].faces[0]) / 2
    with pytest.raises(ValueError, match="known are blur, darkness, noise, low level"):
        given.degraded("rain")
