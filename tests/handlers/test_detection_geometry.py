"""Overlap, pyramid, crops and landmark boxes: the arrays around the detector's networks."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from handlers.predictors.detection import proposals
from handlers.predictors.detection.detector import (
    LandmarkBoxMap,
    brighten,
    prepare,
    shows_something,
)
from handlers.predictors.detection.proposals import (
    cell_boxes,
    pyramid,
    pyramid_scales,
    sample_crops,
    searched_face_px,
    tiles,
    to_square,
    working_scale,
)
from handlers.processing.boxes import overlaps, suppress

Floats = NDArray[np.float32]

corners = arrays.arrays(
    np.float32, st.tuples(st.integers(0, 20), st.just(4)), elements=st.floats(0, 50, width=16)
)


def boxes_of(corner_and_size: Floats) -> Floats:
    return np.hstack([corner_and_size[:, :2], corner_and_size[:, :2] + corner_and_size[:, 2:] + 1])


def floats(*rows: tuple[float, ...]) -> Floats:
    return np.array(rows, np.float32)


def test_overlap_is_the_share_of_the_union_or_of_the_smaller_box() -> None:
    big, inner, apart = (0, 0, 10, 10), (0, 0, 5, 10), (20, 20, 30, 30)
    boxes = floats(big, inner, apart)
    np.testing.assert_allclose(overlaps(boxes, boxes[:1])[:, 0], [1, 0.5, 0])
    np.testing.assert_allclose(overlaps(boxes, boxes[:1], "smaller")[:, 0], [1, 1, 0])


def test_a_box_without_area_overlaps_nothing() -> None:
    boxes = floats((3, 3, 3, 3), (5, 5, 1, 1))
    assert not overlaps(boxes, boxes).any()


@settings(max_examples=40)
@given(corners, st.floats(0.1, 0.9), st.randoms(use_true_random=False))
def test_what_suppression_keeps_is_apart_and_does_not_depend_on_the_order(
    sides: Floats, limit: float, random: "np.random.Generator"
) -> None:
    boxes = boxes_of(sides)
    scores = np.linspace(1, 0.1, len(boxes), dtype=np.float32)
    kept = suppress(boxes, scores, limit)
    assert (np.triu(overlaps(boxes[kept], boxes[kept]), k=1) <= limit).all()
    assert list(kept[:1]) == [0][: len(boxes)]
    order = list(range(len(boxes)))
    random.shuffle(order)
    again = suppress(boxes[order], scores[order], limit)
    assert [order[i] for i in again] == list(kept)


def test_the_pyramid_starts_at_the_smallest_face_and_ends_at_one_cell() -> None:
    scales = pyramid_scales(480, 640, 40, 0.709)
    assert scales[0] == pytest.approx(12 / 40)
    assert 12 <= 480 * scales[-1] < 12 / 0.709
    assert pyramid_scales(11, 640, 12, 0.709) == []
    assert pyramid_scales(39, 640, 40, 0.709) == []


def test_large_pictures_are_searched_for_larger_faces_and_shrunk() -> None:
    assert searched_face_px(480, 640, 40, 1_000_000) == 40
    smallest = searched_face_px(6000, 8000, 40, 1_000_000)
    assert 6000 * 8000 * (12 / smallest) ** 2 == pytest.approx(1_000_000)
    assert working_scale(480, 640, 1_000_000) == 1
    assert working_scale(4000, 4000, 1_000_000) == pytest.approx(1 / 4)
    assert 40_000 * working_scale(100, 40_000, 10_000_000) < 2**15


def test_levels_made_from_halves_are_almost_those_made_from_the_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noise = np.random.default_rng(0).uniform(0, 255, (301, 402, 3)).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), 4)
    scales = [0.3, 0.2, 0.14, 0.09, 0.05]
    exact = list(pyramid(noise, scales))
    monkeypatch.setattr(proposals, "LARGE_PX", 1000)
    halved = list(pyramid(noise, scales))
    for scale, level, fast in zip(scales, exact, halved, strict=True):
        assert level.shape == fast.shape == (int(301 * scale), int(402 * scale), 3)
        assert abs(level - fast).mean() < 0.1 * noise.std()


def test_a_cell_covers_twelve_pixels_of_its_level() -> None:
    none = np.zeros((1, 4), np.float32)
    boxes = cell_boxes(np.array([3]), np.array([5]), none, scale=0.5)
    np.testing.assert_allclose(boxes, [[22, 14, 44, 36]])
    moved = cell_boxes(np.array([3]), np.array([5]), none + 1, scale=0.5)
    np.testing.assert_allclose(moved, boxes + 22)


def test_a_crop_of_the_whole_picture_at_its_own_size_is_the_picture() -> None:
    picture = np.random.default_rng(0).uniform(0, 255, (24, 24, 3)).astype(np.float32)
    crops = sample_crops(picture, floats((0, 0, 24, 24)), 24)
    np.testing.assert_allclose(crops[0], picture, atol=0.05)


def test_crops_are_grey_where_the_picture_ends() -> None:
    picture = np.zeros((30, 40, 3), np.float32)
    left, outside = sample_crops(picture, floats((-12, 0, 12, 24), (100, 100, 124, 124)), 24)
    assert (left[:, :11] == proposals.GREY).all()
    assert (left[:, 13:] == 0).all()
    assert (outside == proposals.GREY).all()
    assert sample_crops(picture, np.empty((0, 4), np.float32), 24).shape == (0, 24, 24, 3)


def test_squares_keep_the_centre_and_the_longer_side() -> None:
    np.testing.assert_allclose(to_square(floats((0, 0, 10, 20))), [[-5, 0, 15, 20]])
    assert to_square(np.empty((0, 4), np.float32)).shape == (0, 4)


def test_a_fitted_landmark_box_map_finds_the_boxes_it_was_made_from() -> None:
    rng = np.random.default_rng(0)
    boxes = boxes_of(rng.uniform(10, 90, (50, 4)).astype(np.float32))
    points = boxes[:, None, :2] + rng.uniform(5, 20, (50, 5, 2)).astype(np.float32)
    truth = LandmarkBoxMap(rng.normal(0, 0.1, (4, 11)).astype(np.float32))
    wanted = truth.predict(boxes, points)
    fitted = LandmarkBoxMap.fit(boxes, points, wanted, np.ones(50, np.float32))
    np.testing.assert_allclose(fitted.predict(boxes, points), wanted, atol=0.05)


def test_no_faces_have_no_landmark_boxes() -> None:
    mapping = LandmarkBoxMap(np.zeros((4, 11), np.float32))
    none = mapping.predict(np.empty((0, 4), np.float32), np.empty((0, 5, 2), np.float32))
    assert none.shape == (0, 4)


def test_only_dark_pictures_are_brightened() -> None:
    bright = np.linspace(0, 200, 32 * 32 * 3, dtype=np.float32).reshape(32, 32, 3)
    np.testing.assert_array_equal(brighten(bright), bright)
    raised = brighten(bright / 5)
    assert 240 < raised.max() <= 255
    np.testing.assert_array_equal(brighten(np.zeros((8, 8, 3), np.float32)), 0)


@settings(max_examples=40)
@given(st.integers(12, 400), st.integers(1, 40))
def test_tiles_hold_every_cell_once_and_none_is_too_large(length: int, most: int) -> None:
    parts = list(tiles(length, most))
    first_cells = [part.start // 2 for part in parts]
    cells = [(part.stop - part.start - 12) // 2 + 1 for part in parts]
    assert max(cells) <= most
    assert first_cells == [sum(cells[:index]) for index in range(len(cells))]
    assert parts[-1].stop == length


def test_a_picture_of_one_colour_shows_nothing() -> None:
    plain = np.full((40, 60, 3), (90, 120, 140), np.float32)
    assert not shows_something(plain)
    plain[8, 12, 1] += 5
    assert shows_something(plain)


def test_a_prepared_picture_has_the_asked_size() -> None:
    picture = np.full((100, 60, 3), 200, np.uint8)
    assert prepare(picture, 0.5).shape == (50, 30, 3)
    assert prepare(picture, 1.0).dtype == np.float32
