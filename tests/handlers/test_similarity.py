"""Similarities come back from the shapes they made, and the mean shape is an upright face."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.checkpoint import load_checkpoint
from handlers.processing.landmarks import MIRROR, DegenerateShape, Similarity, procrustes_mean

STORE = Path(__file__).parents[2] / "model_store"
RNG = np.random.default_rng(0)
SHAPE = RNG.normal(size=(68, 2)).astype(np.float32) * 30 + 64


@pytest.fixture(scope="module")
def mean_shape() -> np.ndarray:
    return load_checkpoint(STORE / "face_shape").tensors["mean_shape"].numpy()


@given(st.floats(0.05, 20), st.floats(-179, 179), st.floats(-500, 500), st.floats(-500, 500))
def test_a_similarity_is_found_again(scale: float, angle: float, x: float, y: float) -> None:
    made = Similarity(scale, angle, (x, y))
    found = Similarity.fit(SHAPE, made.to_target(SHAPE))
    assert found.scale == pytest.approx(scale, rel=1e-3)
    assert (found.rotation_deg - angle + 180) % 360 - 180 == pytest.approx(0, abs=0.05)
    assert found.translation == pytest.approx((x, y), abs=0.2)


def test_points_go_there_and_back() -> None:
    similarity = Similarity(2.5, 33.0, (-10.0, 4.0))
    back = similarity.from_target(similarity.to_target(SHAPE))
    np.testing.assert_allclose(back, SHAPE, atol=1e-3)


def test_a_positive_rotation_turns_clockwise_as_seen() -> None:
    right = np.array([[1.0, 0.0]], np.float32)
    np.testing.assert_allclose(
        Similarity(1.0, 90.0, (0.0, 0.0)).to_target(right), [[0.0, 1.0]], atol=1e-6
    )


def test_the_fit_is_the_best_one() -> None:
    target = SHAPE * 1.3 + RNG.normal(size=SHAPE.shape).astype(np.float32) * 5
    best = Similarity.fit(SHAPE, target)

    def error(similarity: Similarity) -> float:
        return float(((similarity.to_target(SHAPE) - target) ** 2).sum())

    x, y = best.translation
    for other in (
        Similarity(best.scale * 1.01, best.rotation_deg, best.translation),
        Similarity(best.scale, best.rotation_deg + 0.5, best.translation),
        Similarity(best.scale, best.rotation_deg, (x + 0.3, y)),
        Similarity(best.scale, best.rotation_deg, (x, y - 0.3)),
    ):
        assert error(best) < error(other)


def test_a_mirrored_shape_is_not_reflected_back() -> None:
    mirrored = SHAPE * (-1, 1)
    found = Similarity.fit(SHAPE, mirrored.astype(np.float32))
    assert np.linalg.det(found.linear()) > 0


@pytest.mark.parametrize(
    "shape",
    [np.full((68, 2), 7.0), np.full((68, 2), np.nan), np.zeros((68, 3)), np.zeros((0, 2))],
    ids=["one place", "not finite", "in space", "empty"],
)
def test_a_degenerate_shape_is_refused(shape: np.ndarray) -> None:
    with pytest.raises(DegenerateShape):
        Similarity.fit(shape, SHAPE[: len(shape)])
    with pytest.raises(DegenerateShape):
        Similarity.fit(SHAPE[: len(shape)], shape)


def test_points_on_a_line_still_have_a_similarity() -> None:
    line = np.stack([np.arange(68), np.zeros(68)], axis=1).astype(np.float32)
    found = Similarity.fit(line, line * 2 + 1)
    assert found.scale == pytest.approx(2)


def test_the_extracted_face_stands_upright_where_the_mean_shape_says() -> None:
    # Three dots on a picture, at points that the similarity takes to known places.
    image = np.zeros((300, 300, 3), np.uint8)
    similarity = Similarity(0.8, -30.0, (-60.0, 30.0))
    places = np.array([[30.0, 40.0], [90.0, 44.0], [64.0, 100.0]], np.float32)
    for channel, (x, y) in enumerate(similarity.from_target(places).round().astype(int)):
        image[y - 1 : y + 2, x - 1 : x + 2, channel] = 255
    face = similarity.extract(image)
    assert face.shape == (128, 128, 3)
    for channel, place in enumerate(places):
        weights = face[..., channel].astype(float)
        rows, columns = np.indices(weights.shape)
        centre = np.array([(columns * weights).sum(), (rows * weights).sum()]) / weights.sum()
        np.testing.assert_allclose(centre, place, atol=1.0)


def test_the_procrustes_mean_undoes_scale_turn_and_shift() -> None:
    views = [
        Similarity(s, a, (t, -t)).to_target(SHAPE)
        for s, a, t in [(1.0, 0.0, 0.0), (3.0, 50.0, 9.0), (0.2, -120.0, -40.0)]
    ]
    mean = procrustes_mean(np.stack(views)).astype(np.float32)
    residual = Similarity.fit(mean, SHAPE).to_target(mean) - SHAPE
    assert abs(residual).max() < 1e-3
    assert (mean**2).sum(axis=1).mean() == pytest.approx(1, abs=1e-6)


def test_the_stored_mean_shape_is_a_symmetric_upright_face_in_its_frame(
    mean_shape: np.ndarray,
) -> None:
    assert mean_shape.shape == (68, 2)
    np.testing.assert_allclose(mean_shape[MIRROR] * (-1, 1) + (127, 0), mean_shape, atol=1e-3)
    assert (mean_shape.min(axis=0) > 8).all()
    assert (mean_shape.max(axis=0) < 120).all()
    eyes, nose, mouth, chin = (
        mean_shape[part, 1].mean() for part in (slice(36, 48), 30, slice(48, 68), 8)
    )
    assert eyes < nose < mouth < chin
    assert mean_shape[36, 0] < mean_shape[45, 0]
