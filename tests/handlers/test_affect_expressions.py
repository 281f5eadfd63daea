"""The expression network, and what is made of its looks at faces."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from handlers.engines.parts import affect_parts
from handlers.engines.torch_engine import TorchEngine
from handlers.networks.affect import build
from handlers.networks.expressions import (
    INPUT_PX,
    SIZES,
    Body,
    ExpressionNetwork,
    SameConv,
    standardise,
)
from handlers.networks.layers import fuse
from handlers.networks.variants import variant
from handlers.predictors.affect.estimator import Moment
from handlers.predictors.affect.expressions import (
    Calibration,
    ExpressionEstimator,
    _resized,
    action_features,
    smooth,
)
from handlers.predictors.affect.run import share_of_news


def network() -> ExpressionNetwork:
    torch.manual_seed(0)
    made = build(variant("expressions", "tiny"))
    assert isinstance(made, ExpressionNetwork)
    return made.eval()


def engine() -> TorchEngine:
    made = network()
    return TorchEngine(made, affect_parts(made))


def crop(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (128, 128, 3), dtype=np.uint8)


def test_the_compact_body_is_as_large_as_efficientnet_lite0() -> None:
    count = sum(values.numel() for values in Body(SIZES["compact"]).parameters())
    assert count == 3_371_008 - 2 * 32 * 9  # of which the stem sees one channel and not three


@pytest.mark.parametrize(("side", "stride", "out"), [(8, 2, 4), (7, 2, 4), (7, 1, 7)])
def test_a_padded_convolution_answers_every_started_stride(
    side: int, stride: int, out: int
) -> None:
    assert SameConv(1, 1, 3, stride)(torch.zeros(1, 1, side, side)).shape[-1] == out


def test_neither_light_nor_contrast_counts() -> None:
    faces = 100 + 50 * torch.rand(1, 1, INPUT_PX, INPUT_PX)
    assert_close(standardise(faces), standardise(faces + 60))
    assert_close(standardise(faces), standardise(faces * 1.6), atol=0.35, rtol=0)


def test_rows_are_independent_and_folding_changes_nothing() -> None:
    made, faces = network(), torch.randn(3, 1, INPUT_PX, INPUT_PX)
    together = made(faces)
    assert_close(made(faces[1:2]).logits[0], together.logits[1])
    fuse(made)
    assert_close(made(faces).place, together.place, atol=1e-5, rtol=1e-4)


def test_a_face_has_words_that_add_up_and_an_estimate_within_bounds() -> None:
    estimator = ExpressionEstimator(engine(), 1.25, Calibration())
    seen = estimator.look([crop(0), crop(1)])
    assert seen.shape == (2, 11)
    np.testing.assert_allclose(seen[:, 2:10].sum(axis=1), 1, atol=1e-6)
    assert np.abs(seen[:, :2]).max() <= 1
    assert ((seen[:, 10] > 0) & (seen[:, 10] <= 1)).all()


def test_a_moment_without_a_face_is_no_reading() -> None:
    estimator = ExpressionEstimator(engine(), 1.25, Calibration())
    first, second = estimator.read([Moment(), Moment(face=crop())])
    assert first is None
    assert second is not None
    assert second.used == ("face",)


def test_calibration_stretches_and_moves_what_is_estimated() -> None:
    plain = ExpressionEstimator(engine(), 1.25, Calibration()).look([crop()])
    moved = ExpressionEstimator(engine(), 1.25, Calibration(scale=(0.5, 1), shift=(0, 0.1)))
    found = moved.look([crop()])
    assert found[0, 0] == pytest.approx(0.5 * float(plain[0, 0]), abs=1e-6)
    assert found[0, 1] == pytest.approx(float(plain[0, 1]) + 0.1, abs=1e-6)


def smoothed(before: float, passed_s: float, smoothing_s: float = 0.25) -> float:
    """What becomes of one where there was another value so long ago."""
    news = share_of_news(passed_s, smoothing_s)
    return float(smooth(np.ones(1, np.float32), {"values": np.array([before])}, news)[0])


def test_smoothing_goes_by_time_and_not_by_frames() -> None:
    assert smoothed(0.0, passed_s=0.0) == 0
    assert smoothed(0.0, passed_s=10.0) == pytest.approx(1)
    twice = smoothed(smoothed(0.0, passed_s=0.1), passed_s=0.1)
    assert twice == pytest.approx(smoothed(0.0, passed_s=0.2))


def test_smoothing_follows_as_fast_as_is_asked() -> None:
    assert smoothed(0.0, passed_s=0.04, smoothing_s=0.0) == 1
    assert smoothed(0.0, passed_s=1.0, smoothing_s=1.0) == pytest.approx(1 - np.exp(-1))
    assert smoothed(0.0, passed_s=0.04, smoothing_s=5.0) < 0.01


def test_what_was_not_there_before_is_taken_over_at_once() -> None:
    found = smooth(np.float32([0.8]), {"values": np.array([np.nan])}, 0.01)
    assert found[0] == pytest.approx(0.8)


def test_pictures_are_shrunk_as_the_network_learned_them() -> None:
    faces = torch.rand(2, 1, 112, 112)
    wanted = torch.nn.functional.interpolate(
        faces, (INPUT_PX, INPUT_PX), mode="bilinear", align_corners=False, antialias=True
    )
    found = _resized(faces[:, 0].numpy(), INPUT_PX)
    np.testing.assert_allclose(found, wanted[:, 0].numpy(), atol=1e-5)


def test_what_a_face_does_counts_its_share_of_arousal_alone() -> None:
    line = np.zeros(81)
    line[-1] = 0.6
    calibration = Calibration(actions=0.25, scale=(1.0, 1.2))
    reader = ExpressionEstimator(engine(), 1.15, calibration, line.tolist())
    still = np.zeros(40, np.float32)
    plain, told = reader.read([Moment(crop()), Moment(crop(), actions=still)])
    assert plain is not None
    assert told is not None
    assert told.features[0] == pytest.approx(plain.features[0])
    assert told.features[1] == pytest.approx(0.75 * plain.features[1] + 0.25 * 1.2 * 0.6, abs=1e-5)


def test_a_line_through_actions_finds_what_they_say() -> None:
    actions = np.random.default_rng(0).random((200, 40)).astype(np.float32)
    features = action_features(actions)
    assert features.shape == (200, 81)
    np.testing.assert_allclose(features[:, 40:80] ** 2, features[:, :40], atol=1e-6)
