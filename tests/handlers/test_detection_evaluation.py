"""Recall and false alarms, measured on detectors whose faults are known."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from handlers.evaluation.align.running import FaceView
from handlers.evaluation.detection import count_false, measure_recall, paste, read_empty, report

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Found:
    landmark_box: Floats


class WhiteDetector:
    """Takes the box around all white pixels for a face, `shift` pixels to the right of it."""

    def __init__(self, shift: float = 0) -> None:
        self.shift = np.array([shift, 0, shift, 0], np.float32)

    def detect(
        self, images: Sequence[Image], min_face_px: int = 40, max_faces: int = 64
    ) -> list[list[Found]]:
        return [self._find(image) for image in images]

    def _find(self, image: Image) -> list[Found]:
        y, x = np.nonzero(image[..., 0] > 200)
        if not len(x):
            return []
        box = np.array([x.min(), y.min(), x.max(), y.max()], np.float32)
        return [Found(box + self.shift)]


def white_face() -> FaceView:
    """A picture whose landmarks are spread over a white square."""
    image = np.zeros((200, 200, 3), np.uint8)
    image[50:151, 60:141] = 255
    x, y = np.meshgrid(np.linspace(60, 140, 17), np.linspace(50, 150, 4))
    return FaceView(image, np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32))


def test_a_detector_that_hits_has_full_recall() -> None:
    recall = measure_recall(WhiteDetector(), [white_face()] * 3)
    assert (recall.faces, recall.found, recall.spare) == (3, 3, 0)
    assert recall.rate == 1
    assert recall.mean_overlap == pytest.approx(1)


def test_a_box_beside_the_face_finds_nothing_and_is_spare() -> None:
    recall = measure_recall(WhiteDetector(shift=40), [white_face()])
    assert (recall.found, recall.spare, recall.rate) == (0, 1, 0)


def test_false_alarms_are_counted_picture_by_picture() -> None:
    pictures = [white_face().image, np.zeros((50, 50, 3), np.uint8)]
    assert count_false(WhiteDetector(), pictures) == [1, 0]


@pytest.mark.parametrize("seed", range(8))
def test_a_pasted_face_lies_where_its_landmarks_say_and_has_the_asked_size(seed: int) -> None:
    scene = np.full((120, 160, 3), 60, np.uint8)
    pasted = paste(white_face(), scene, np.random.default_rng(seed), (40, 80))
    low, high = pasted.landmarks.min(axis=0), pasted.landmarks.max(axis=0)
    assert 39 < high[1] - low[1] < 81
    assert (low >= 0).all()
    assert (high <= (159, 119)).all()
    recall = measure_recall(WhiteDetector(), [pasted])
    assert recall.mean_overlap > 0.9


def test_empty_pictures_are_read_as_rgb(tmp_path: Path) -> None:
    red = np.zeros((20, 30, 3), np.uint8)
    red[..., 2] = 255
    cv2.imwrite(str(tmp_path / "red.png"), red)
    (image,) = read_empty(tmp_path / "red.png")
    assert image[0, 0].tolist() == [255, 0, 0]


def test_the_report_names_every_condition_and_the_false_alarms() -> None:
    empty = [np.zeros((48, 64, 3), np.uint8)]
    lines = list(report(WhiteDetector(), [white_face()], empty, min_face_px=40, seed=0))
    assert lines[0].startswith("clean")
    assert any(line.startswith("pasted 40-80 px") for line in lines)
    assert lines[-1] == "0 faces in 1 pictures without any, in 0 of them"
