"""Geometry of a cascade that slides a small cell over shrunken copies of a picture.

Boxes are float32 `(N, 4)` `(x1, y1, x2, y2)` in pixels, pictures `(H, W, 3)` float32 on [0, 255],
so that averages and samples are not rounded. The constants are those that MTCNN's
published weights were trained with.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float32]
Picture = NDArray[np.float32]
Pixels = TypeVar("Pixels", Picture, NDArray[np.uint8])

CELL_PX = 12
STRIDE_PX = 2
CELL_OFFSET_PX = 1  # the cell at (x, y) of the map is [2x + 1, 2x + 12]
GREY = 127.5
LARGE_PX = 100_000
LONGEST_PX = 32_766  # OpenCV samples no longer sides


def pyramid_scales(height: int, width: int, min_face_px: float, factor: float) -> list[float]:
    """Return scales at which faces from `min_face_px` upwards fill a cell, largest scale first.

    Each is `factor` times the one before; the last still leaves a cell's width of picture.
    Empty where the picture is too small for a single cell.
    """
    scale, scales = CELL_PX / min_face_px, []
    while int(min(height, width) * scale) >= CELL_PX:
        scales.append(scale)
        scale *= factor
    return scales


def searched_face_px(height: int, width: int, min_face_px: float, max_level_px: int) -> float:
    """Return the smallest face to search for, so that no level of the pyramid has more pixels."""
    return max(min_face_px, CELL_PX * math.sqrt(height * width / max_level_px))


def working_scale(height: int, width: int, max_picture_px: int) -> float:
    """Compute the scale, at most 1, at which a picture has no more pixels."""
    return min(1.0, math.sqrt(max_picture_px / (height * width)), LONGEST_PX / max(height, width))


def pyramid(picture: Picture, scales: Sequence[float]) -> Iterator[Picture]:
    """Return a picture `(H, W, 3)` averaged down to each of the falling scales, sizes rounded down.

    While the picture has more than `LARGE_PX` pixels, levels below a quarter of its size are made
    from its half: much faster, and almost the same averages.
    """
    height, width = picture.shape[:2]
    base_scale = 1.0
    for scale in scales:
        while picture.shape[0] * picture.shape[1] > LARGE_PX and scale <= base_scale / 4:
            picture = halve(picture)
            base_scale /= 2
        yield shrink(picture, int(width * scale), int(height * scale))


def halve(picture: Picture) -> Picture:
    """Return a picture with each four pixels averaged: what `shrink` does, at a quarter of its
    time."""
    size = picture.shape[1] // 2, picture.shape[0] // 2
    # At exactly half the size a bilinear sample lies between four pixels: it is their mean.
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR), np.float32)


def shrink(picture: Pixels, width: int, height: int) -> Pixels:
    """Return a picture of any number type, averaged down to `width` x `height` pixels."""
    small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(small, picture.dtype)


def tiles(length: int, most: int) -> Iterator[slice]:
    """Return the parts of a side in which P-Net has at most `most` cells each, in order.

    What it finds in the parts, joined, is what it finds in the whole: parts share the pixels that
    a cell of the next one reaches back to.
    """
    cells = (length - CELL_PX) // STRIDE_PX + 1
    each = math.ceil(cells / math.ceil(cells / most))
    for first in range(0, cells, each):
        end = first + each
        yield slice(STRIDE_PX * first, STRIDE_PX * (end - 1) + CELL_PX if end < cells else length)


def cell_boxes(
    rows: NDArray[np.intp], columns: NDArray[np.intp], offsets: Boxes, scale: float
) -> Boxes:
    """Return boxes in the picture of cells `(N,)` of a level, moved by their offsets `(N, 4)`."""
    corners = np.stack([columns, rows], axis=1) * STRIDE_PX
    cells = np.hstack([corners + CELL_OFFSET_PX, corners + CELL_PX])
    return ((cells + offsets * (CELL_PX - CELL_OFFSET_PX)) / scale).astype(np.float32)


def move(boxes: Boxes, offsets: Boxes) -> Boxes:
    """Return boxes moved by offsets `(N, 4)` in fractions of their sides."""
    return boxes + offsets * np.tile(_sides(boxes), 2)


def to_square(boxes: Boxes) -> Boxes:
    """Return the smallest square boxes with the same centres that hold the boxes."""
    sides = boxes[:, 2:] - boxes[:, :2]
    longest = sides.max(axis=1, keepdims=True, initial=0)
    corner = boxes[:, :2] + (sides - longest) / 2
    return np.hstack([corner, corner + longest])


def points_in(boxes: Boxes, fractions: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return points `(N, K, 2)` in pixels from fractions `(N, K, 2)` of boxes `(N, 4)`."""
    return fractions * _sides(boxes)[:, None] + boxes[:, None, :2] - 1


@dataclass(frozen=True)
class LandmarkBoxMap:
    """A linear map fitted on annotated faces.

    `weights` `(4, 11)` turn the five points, in fractions of the detector's box, and a 1 into the
    landmark box: its centre `(x, y)` in the same fractions and the logarithms of its width and
    height over those of the detector's box.
    """

    weights: Boxes

    def predict(self, boxes: Boxes, points: Boxes) -> Boxes:
        """Return landmark boxes `(N, 4)` for detected boxes `(N, 4)` and their points
        `(N, 5, 2)`."""
        corner, sides = boxes[:, :2], boxes[:, 2:] - boxes[:, :2]
        centre, log_size = np.split(features(boxes, points) @ self.weights.T, 2, axis=1)
        centre, half = corner + centre * sides, sides * np.exp(log_size) / 2
        return np.hstack([centre - half, centre + half]).astype(np.float32)

    @classmethod
    def fit(
        cls, boxes: Boxes, points: Boxes, landmark_boxes: Boxes, shares: Boxes
    ) -> "LandmarkBoxMap":
        """Fit by least squares over faces: detected boxes, points, true landmark boxes.

        `shares` `(N,)` weigh the faces.
        """
        corner, sides = boxes[:, :2], boxes[:, 2:] - boxes[:, :2]
        centre = ((landmark_boxes[:, :2] + landmark_boxes[:, 2:]) / 2 - corner) / sides
        log_size = np.log((landmark_boxes[:, 2:] - landmark_boxes[:, :2]) / sides)
        # Least squares square the weights.
        root = np.sqrt(shares)[:, None]
        targets = np.hstack([centre, log_size]) * root
        solution = np.linalg.lstsq(features(boxes, points) * root, targets, rcond=None)[0]
        return cls(np.asarray(solution.T, np.float32))


def features(boxes: Boxes, points: Boxes) -> Boxes:
    """Return `(N, 11)`: the points as fractions of their boxes, and a 1."""
    corner, sides = boxes[:, None, :2], (boxes[:, 2:] - boxes[:, :2])[:, None]
    fractions = ((points - corner) / sides).reshape(len(boxes), 10)
    return np.hstack([fractions, np.ones((len(boxes), 1))]).astype(np.float32)


def sample_crops(picture: Picture, boxes: Boxes, size: int) -> Picture:
    """Return crops `(N, size, size, 3)` of boxes in a picture `(H, W, 3)`, grey beyond its border.

    Bilinear samples, the outermost on the sides of the box, whose coordinates span the picture
    as `[0, W]` and `[0, H]`: the weights were trained on crops cut like this.
    """
    height, width = picture.shape[:2]
    steps = np.linspace(0, 1, size, dtype=np.float32)
    x = _sample_lines(boxes[:, 0], boxes[:, 2], width, steps)
    y = _sample_lines(boxes[:, 1], boxes[:, 3], height, steps)
    x, y = np.broadcast_arrays(x[:, None, :], y[:, :, None])
    if not len(boxes):
        return np.empty((0, size, size, 3), np.float32)
    shape = (len(boxes), size * size)
    crops = cv2.remap(
        picture,
        np.ascontiguousarray(x).reshape(shape),
        np.ascontiguousarray(y).reshape(shape),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(GREY, GREY, GREY),
    )
    return np.asarray(crops, np.float32).reshape(-1, size, size, 3)


def _sample_lines(
    first: NDArray[np.float32], last: NDArray[np.float32], length: int, steps: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return pixel coordinates `(N, size)` along one axis; far outside where the picture
    has none."""
    lines = (first[:, None] + (last - first)[:, None] * steps) * ((length - 1) / length)
    outside = (lines < 0) | (lines > length - 1)
    # From there a bilinear sample reaches no pixel of the picture.
    return np.where(outside, np.float32(-2), lines)


def _sides(boxes: Boxes) -> NDArray[np.float32]:
    """Return widths and heights `(N, 2)`, counting both border pixels as the weights expect."""
    return boxes[:, 2:] - boxes[:, :2] + 1
