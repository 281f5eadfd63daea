"""The evaluation of faces turned in the plane, by arithmetic and on one portrait."""

import math

import numpy as np
import pytest

from handlers.align import AlignHandler
from handlers.evaluation.align.rolls import TURNS_DEG, as_rows, error_at, turned_window
from handlers.evaluation.align.running import FaceView
from handlers.processing.image import decode_image
from tests.handlers.align_fakes import ROOT, STORE, outputs

ASTRONAUT = (ROOT / "tests" / "assets" / "astronaut.jpg").read_bytes()


def test_a_picture_is_turned_clockwise_about_its_middle() -> None:
    image = np.zeros((101, 101, 3), np.uint8)
    window = turned_window(image, 90)
    right, middle = window.to_crop(np.array([[90, 50], [50, 50]], np.float32))
    assert right[0] == pytest.approx(middle[0], abs=0.01)
    assert right[1] > middle[1]


def test_a_face_is_close_where_it_is_hardly_worse_than_upright() -> None:
    upright = [0.02, 0.02, math.inf]
    errors = np.full((3, len(TURNS_DEG)), 0.025)
    errors[:, 0] = upright
    errors[0, 1], errors[1, 1] = 0.03, math.inf
    rows = as_rows(errors)
    assert (rows[1].turn_deg, rows[1].found, rows[1].close) == (30, pytest.approx(2 / 3), 0)
    # What is not found upright has nothing to be as good as.
    assert (rows[2].found, rows[2].close) == (1, pytest.approx(2 / 3))


@pytest.mark.skipif(not (STORE / "dfa").is_dir(), reason="model_store/dfa holds no weights yet")
def test_the_portrait_upside_down_has_the_landmarks_that_it_has_upright() -> None:
    handler = AlignHandler(STORE)
    (face,) = outputs(handler, ASTRONAUT)["faces"]
    pixels = decode_image(ASTRONAUT, 10**6).pixels
    view = FaceView(pixels, np.array(face["landmarks"], np.float32))
    assert error_at(handler, view, 180) < 0.015
