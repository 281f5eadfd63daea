"""What the align handler refuses: each fault is named, with what would be right."""

from pathlib import Path

import numpy as np
import pytest

from handlers.align import AlignHandler
from handlers.checkpoint import CheckpointError
from handlers.processing.boxes import box_fault
from tests.handlers.align_fakes import HEIGHT, WIDTH, error, fake_handler, picture


@pytest.fixture
def handler() -> AlignHandler:
    return fake_handler()


def test_the_limit_of_pixels_is_the_callers(handler: AlignHandler) -> None:
    kind, detail = error(handler, picture(1), max_pixels=WIDTH * HEIGHT - 1)
    assert kind == "too-many-pixels"
    assert f"{WIDTH} x {HEIGHT}" in detail


@pytest.mark.parametrize(
    ("box", "why"),
    [
        ([10, 20, 10, 40], "no area"),
        ([30, 20, 10, 40], "no area"),
        ([0, 0, float("nan"), 10], "finite"),
        ([0, 0, float("inf"), 10], "finite"),
        ([0, 0, 10], "four"),
        ([0, 0, 10, "10"], "four"),
        ([0, 0, 10, True], "four"),
        (7, "four"),
        ([300, 10, 350, 50], "outside"),
        ([10, -50, 90, -1], "outside"),
        ([10, 10, 10.5, 10.5], "smaller than a pixel"),
        ([-1e30, -1e30, 1e30, 1e30], "10 times"),
    ],
)
def test_a_wrong_box_is_named_with_its_fault(handler: AlignHandler, box: object, why: str) -> None:
    kind, detail = error(handler, picture(1), boxes=[[0, 0, 50, 50], box])
    assert kind == "invalid-box"
    assert detail.startswith("boxes[1]")
    assert why in detail


def test_a_whole_number_beyond_all_floats_is_no_coordinate() -> None:
    assert box_fault([0, 0, 10**400, 5], 100, 100) is not None


def test_boxes_that_are_no_list_or_too_many_are_refused(handler: AlignHandler) -> None:
    assert error(handler, picture(1), boxes="all")[0] == "invalid-box"
    assert error(handler, picture(1), boxes=[[0, 0, 9, 9]] * 65)[0] == "invalid-box"


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        *((value, "invalid-request") for value in (None, "text", [1, 2])),
        (np.zeros((4, 4, 3), np.float32), "invalid-image"),
    ],
)
def test_an_image_that_is_neither_bytes_nor_pixels_is_refused(
    handler: AlignHandler, image: object, kind: str
) -> None:
    assert error(handler, image)[0] == kind


def test_a_store_without_weights_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="dfa"):
        AlignHandler(tmp_path)
