"""Turned pictures are searched, and what is found in them comes back to where it is."""

from collections.abc import Sequence

import numpy as np
import pytest

from handlers.predictors.detection.detector import Detection
from handlers.predictors.detection.turned import TURNS_DEG, search_turned, window

HEIGHT, WIDTH = 300, 400
ALL_TURNS = [turn for group in TURNS_DEG for turn in group]


class BrightSpot:
    """Finds a box of 40 pixels around the brightest pixel where the left of it is darker."""

    def detect(
        self, images: Sequence[np.ndarray], min_face_px: int, max_faces: int
    ) -> list[list[Detection]]:
        return [self._find(image) for image in images]

    def _find(self, image: np.ndarray) -> list[Detection]:
        grey = image.mean(axis=2)
        y, x = np.unravel_index(grey.argmax(), grey.shape)
        if grey[y, x] < 100:
            return []
        box = np.array([x - 20, y - 20, x + 20, y + 20], np.float32)
        points = np.repeat(np.array([[x, y]], np.float32), 5, axis=0)
        return [Detection(box, 0.9, points, box)]


@pytest.mark.parametrize("turn", ALL_TURNS)
def test_a_face_comes_back_to_its_place_with_its_roll(turn: int) -> None:
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[118:123, 88:93] = 255
    (face,) = search_turned(BrightSpot(), picture, 40, [turn])
    assert face.roll_rad == pytest.approx(np.radians(turn))
    np.testing.assert_allclose(face.points, [[90, 120]] * 5, atol=3)
    np.testing.assert_allclose(face.landmark_box, [70, 100, 110, 140], atol=3)


def test_of_one_face_found_at_several_turns_one_is_left() -> None:
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[118:123, 88:93] = 255
    assert len(search_turned(BrightSpot(), picture, 40, ALL_TURNS[:3])) == 1


def test_a_large_picture_is_turned_small() -> None:
    large = np.zeros((3000, 4000, 3), np.uint8)
    assert window(large, 90).extract(large).shape == (640, 640, 3)
    assert search_turned(BrightSpot(), large, 40, [180]) == []
