"""Faces drawn onto their picture: box, contours of the 68 landmarks, head axes and a label."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from handlers.processing.landmarks import bounding_box
from handlers.processing.pose import HeadPose

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]
Color = tuple[int, int, int]

WHITE, BLACK = (255, 255, 255), (0, 0, 0)
# Contours of the 68-point scheme: first and last landmark, whether the line closes, RGB.
CONTOURS: tuple[tuple[int, int, bool, Color], ...] = (
    (0, 16, False, (255, 196, 0)),
    (17, 21, False, (170, 230, 60)),
    (22, 26, False, (170, 230, 60)),
    (27, 30, False, (0, 200, 255)),
    (31, 35, False, (0, 200, 255)),
    (36, 41, True, (90, 160, 255)),
    (42, 47, True, (90, 160, 255)),
    (48, 59, True, (255, 95, 130)),
    (60, 67, True, (255, 95, 130)),
)
# Right, down and towards the camera, in the axes of handlers.processing.pose.
HEAD_AXES: tuple[tuple[tuple[int, int, int], Color], ...] = (
    ((1, 0, 0), (235, 50, 50)),
    ((0, 1, 0), (50, 190, 70)),
    ((0, 0, -1), (60, 90, 255)),
)
NOSE_TIP = 30
SUBPIXEL_BITS = 4
LARGEST_FACE_PX = 4096.0  # lines grow no wider than for this
OUTLINED_FROM_PX = 90.0  # in smaller faces the dots' outlines would hide the face
FAR = 2**14  # pixels off the picture from where on nothing is drawn: OpenCV counts in 32 bits


@dataclass(frozen=True)
class DrawnFace:
    """A face to draw: `box` (4,) and `landmarks` (68, 2) in pixels of the picture.

    Without a `pose` no axes are drawn.
    """

    box: Floats
    landmarks: Floats
    pose: HeadPose | None
    label: str


def draw_faces(pixels: Image, faces: Sequence[DrawnFace]) -> Image:
    """Return a copy of an RGB picture `(H, W, 3)` with the faces on it; line widths fit
    each face."""
    canvas = np.ascontiguousarray(pixels).copy()
    for face in faces:
        box = bounding_box(face.landmarks)
        size = min(float((box[2:] - box[:2]).max()), LARGEST_FACE_PX)
        width = max(1, round(size / 160))
        _draw_box(canvas, face.box, width)
        _draw_axes(canvas, face, size, width)
        _draw_landmarks(canvas, face.landmarks, size, width)
        _draw_label(canvas, face, size)
    return canvas


def _draw_box(canvas: Image, box: Floats, width: int) -> None:
    corners = box[[0, 1, 2, 1, 2, 3, 0, 3]].reshape(4, 2)
    _draw_line(canvas, corners, True, BLACK, width + 1)
    _draw_line(canvas, corners, True, WHITE, width)


def _draw_axes(canvas: Image, face: DrawnFace, size: float, width: int) -> None:
    if face.pose is None:
        return
    rotation = face.pose.to_rotation()
    start = face.landmarks[NOSE_TIP]
    for axis, color in HEAD_AXES:
        tip = start + (rotation @ axis)[:2] * size * 0.4
        _draw_line(canvas, np.stack([start, tip]), False, color, width + 1)


def _draw_landmarks(canvas: Image, landmarks: Floats, size: float, width: int) -> None:
    radius = max(size / 110, 0.8)
    for first, last, closed, color in CONTOURS:
        points = landmarks[first : last + 1]
        _draw_line(canvas, points, closed, color, width)
        for point in points:
            if size > OUTLINED_FROM_PX:
                _draw_dot(canvas, point, radius + 0.6, BLACK)
            _draw_dot(canvas, point, radius, color)


def _draw_label(canvas: Image, face: DrawnFace, size: float) -> None:
    font, scale = cv2.FONT_HERSHEY_SIMPLEX, float(np.clip(size / 300, 0.35, 2.0))
    thickness = max(1, round(scale * 1.6))
    (width, height), below = cv2.getTextSize(face.label, font, scale, thickness)
    left = int(np.clip(face.box[0], 0, max(canvas.shape[1] - width, 0)))
    bottom = int(np.clip(face.box[1] - below, height, max(canvas.shape[0] - below, height)))
    cv2.rectangle(canvas, (left, bottom - height), (left + width, bottom + below), BLACK, -1)
    cv2.putText(canvas, face.label, (left, bottom), font, scale, WHITE, thickness, cv2.LINE_AA)


def _draw_line(
    canvas: Image, points: NDArray[np.floating], closed: bool, color: Color, width: int
) -> None:
    fixed = [_to_fixed(points)]
    cv2.polylines(canvas, fixed, closed, color, width, cv2.LINE_AA, SUBPIXEL_BITS)


def _draw_dot(canvas: Image, point: Floats, radius: float, color: Color) -> None:
    x, y = (int(value) for value in _to_fixed(point))
    fixed_radius = round(radius * 2**SUBPIXEL_BITS)
    cv2.circle(canvas, (x, y), fixed_radius, color, -1, cv2.LINE_AA, SUBPIXEL_BITS)


def _to_fixed(points: NDArray[np.floating]) -> NDArray[np.int32]:
    """Return pixels as whole numbers of sixteenths, kept where OpenCV's arithmetic holds."""
    sixteenths = np.clip(points, -FAR, FAR) * 2**SUBPIXEL_BITS
    return np.asarray(np.rint(sixteenths), np.int32)
