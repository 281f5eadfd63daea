"""Crops, landmarks and their boxes, and the quality that they give."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.processing.boxes import Crop
from handlers.processing.landmarks import (
    MIRROR,
    N_POINTS,
    REGIONS,
    bounding_box,
    landmark_quality,
    mirror,
)
from tests.handlers.align_fakes import MEAN

finite = st.floats(-500, 500)


def test_mirroring_twice_gives_the_landmarks_back() -> None:
    points = np.random.default_rng(0).uniform(0, 100, (N_POINTS, 2)).astype(np.float32)
    np.testing.assert_allclose(mirror(mirror(points, 128), 128), points, atol=1e-4)


def test_the_mirror_map_keeps_every_point_in_its_region() -> None:
    for region in REGIONS.values():
        indices = set(range(N_POINTS)[region])
        assert {int(MIRROR[index]) for index in indices} == indices


def test_the_regions_cover_every_point_once() -> None:
    covered = [index for region in REGIONS.values() for index in range(N_POINTS)[region]]
    assert covered == list(range(N_POINTS))


def test_a_mirrored_point_at_the_left_edge_lies_at_the_right_edge() -> None:
    points = np.zeros((N_POINTS, 2), np.float32)
    assert (mirror(points, 128)[:, 0] == 127).all()


def test_the_bounding_box_is_tight() -> None:
    points = np.full((N_POINTS, 2), 5, np.float32)
    points[3], points[40] = (1, 7), (9, 2)
    np.testing.assert_array_equal(bounding_box(points), [1, 2, 9, 7])


def test_every_doubt_lowers_the_quality() -> None:
    best = landmark_quality(0.9, 0.99, MEAN, 1.0)
    assert 0.8 < best < 1
    assert landmark_quality(0.5, 0.99, MEAN, 1.0) < best
    assert landmark_quality(0.9, 0.8, MEAN, 1.0) < best
    assert landmark_quality(0.9, 0.99, MEAN / 4, 1.0) < best
    assert landmark_quality(0.9, 0.99, MEAN, 0.1) < best
    assert landmark_quality(0.9, None, MEAN, 1.0) >= best
    assert landmark_quality(0.0, 0.0, MEAN, 0.0) == 0


@given(finite, finite, st.floats(1, 1000), st.floats(-4, 4))
def test_points_survive_the_way_into_a_crop_and_back(
    x: float, y: float, side: float, angle: float
) -> None:
    crop = Crop((x, y), side, 128, angle)
    points = np.random.default_rng(0).uniform(-300, 300, (68, 2)).astype(np.float32)
    np.testing.assert_allclose(crop.from_crop(crop.to_crop(points)), points, atol=0.05)


def test_the_crop_around_a_box_has_the_box_in_its_middle() -> None:
    crop = Crop.around(np.array([10, 20, 50, 40], np.float32), context=1.5)
    assert crop.centre == (30, 30)
    assert crop.side == pytest.approx(60)
    np.testing.assert_allclose(crop.to_crop(np.array([[30, 30]])), [[63.5, 63.5]])


@pytest.mark.parametrize("side", [40.0, 128.0, 300.0, 900.0])
@pytest.mark.parametrize("angle_deg", [0.0, 30.0, -120.0])
def test_a_dot_in_the_picture_is_in_the_crop_where_the_geometry_says(
    side: float, angle_deg: float
) -> None:
    image = np.zeros((1000, 1200, 3), np.uint8)
    where = np.array([604.0, 494.0], np.float32)
    cv2.circle(image, (604, 494), max(round(side / 30), 2), (255, 255, 255), -1)
    crop = Crop((600.0, 500.0), side, 128, float(np.deg2rad(angle_deg)))
    weights = crop.extract(image)[..., 0].astype(np.float64)
    ys, xs = np.indices(weights.shape)
    found = np.array([(weights * xs).sum(), (weights * ys).sum()]) / weights.sum()
    np.testing.assert_allclose(found, crop.to_crop(where[None])[0], atol=0.15)


def test_a_crop_beyond_the_picture_is_black() -> None:
    image = np.full((50, 50, 3), 200, np.uint8)
    assert Crop((500.0, 500.0), 60).extract(image).max() == 0
    assert Crop((5000.0, 5000.0), 600).extract(image).max() == 0


def test_shrinking_averages_instead_of_skipping_pixels() -> None:
    stripes = np.zeros((800, 800, 3), np.uint8)
    stripes[:, ::2] = 255
    inner = Crop((400.0, 400.0), 700).extract(stripes)[20:-20, 20:-20]
    assert inner.min() > 95
    assert inner.max() < 160
