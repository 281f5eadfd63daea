"""The drawn picture: a copy, marked where the face is and nowhere else, whatever the numbers."""

from pathlib import Path

import numpy as np
import pytest

from handlers.checkpoint import load_checkpoint
from handlers.processing.drawing import DrawnFace, draw_faces
from handlers.processing.landmarks import bounding_box
from handlers.processing.pose import HeadPose

STORE = Path(__file__).parents[2] / "model_store"
MEAN = load_checkpoint(STORE / "face_shape").tensors["mean_shape"].numpy()
PICTURE = np.full((400, 500, 3), 90, np.uint8)


def face(scale: float = 1.0, x: float = 100.0, y: float = 100.0, yaw_deg: float = 0.0) -> DrawnFace:
    landmarks = (MEAN * scale + (x, y)).astype(np.float32)
    return DrawnFace(bounding_box(landmarks), landmarks, HeadPose(0, yaw_deg, 0), "0.97 clean")


def changed(faces: list[DrawnFace], picture: np.ndarray = PICTURE) -> np.ndarray:
    return (draw_faces(picture, faces) != picture).any(axis=2)


def test_the_picture_itself_is_left_alone() -> None:
    before = PICTURE.copy()
    drawn = draw_faces(PICTURE, [face()])
    np.testing.assert_array_equal(PICTURE, before)
    assert drawn.dtype == np.uint8
    assert drawn.shape == PICTURE.shape


def test_without_faces_nothing_is_drawn() -> None:
    assert not changed([]).any()


def test_every_landmark_is_marked_in_its_place() -> None:
    one = face()
    marks = changed([one])
    assert all(marks[round(y), round(x)] for x, y in one.landmarks.tolist())


def test_far_from_the_face_nothing_is_drawn() -> None:
    marks = changed([face()])
    assert not marks[:80].any()
    assert not marks[:, :80].any()
    assert not marks[240:].any()
    assert not marks[:, 260:].any()


def test_lines_grow_with_the_face() -> None:
    one = changed([face()]).sum()
    large = changed([face(scale=3.0, x=20, y=0)]).sum()
    assert large > 4 * one


def test_the_nose_axis_points_where_the_head_looks() -> None:
    def blue_side(yaw_deg: float) -> float:
        drawn = draw_faces(PICTURE, [face(yaw_deg=yaw_deg)]).astype(int)
        nose = face().landmarks[30]
        is_axis = (np.abs(drawn - (60, 90, 255)).sum(axis=2) < 30).nonzero()
        return float(is_axis[1].mean() - nose[0])

    assert blue_side(40.0) < -5
    assert blue_side(-40.0) > 5


@pytest.mark.parametrize(
    ("scale", "x", "y"),
    [(0.02, 3, 3), (40.0, -2000, -2000), (1.0, -5000, 0), (1.0, 1e9, -1e9), (1e6, 0, 0)],
)
def test_faces_of_any_size_and_place_are_drawn_or_left_out(
    scale: float, x: float, y: float
) -> None:
    assert draw_faces(PICTURE, [face(scale, x, y)]).shape == PICTURE.shape


def test_a_tiny_picture_takes_a_label_too() -> None:
    assert draw_faces(np.zeros((5, 7, 3), np.uint8), [face(0.03, 0, 0)]).shape == (5, 7, 3)


def test_a_read_only_picture_can_be_drawn_on() -> None:
    picture = PICTURE.copy()
    picture.flags.writeable = False
    assert changed([face()], picture).any()
