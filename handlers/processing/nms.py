"""Overlap of boxes, and the suppression of those that show a face a second time."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float32]
Measure = Literal["union", "smaller"]


def box_areas(boxes: Boxes) -> NDArray[np.float32]:
    """Areas `(N,)` of boxes `(N, 4)`; 0 where a box is turned inside out."""
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    return np.asarray(sides[:, 0] * sides[:, 1], np.float32)


def overlaps(first: Boxes, second: Boxes, measure: Measure = "union") -> NDArray[np.float32]:
    """Pairwise overlap `(N, M)` in [0, 1] of boxes `(N, 4)` and `(M, 4)`.

    The intersection over the area of the union, or over that of the smaller box; 0 where both
    boxes have no area.
    """
    corner = np.maximum(first[:, None, :2], second[None, :, :2])
    sides = np.maximum(np.minimum(first[:, None, 2:], second[None, :, 2:]) - corner, 0)
    shared = sides[..., 0] * sides[..., 1]
    left, right = box_areas(first)[:, None], box_areas(second)[None]
    whole = left + right - shared if measure == "union" else np.minimum(left, right)
    return np.asarray(shared / np.maximum(whole, np.finfo(np.float32).tiny), np.float32)


def overlap(first: Boxes, second: Boxes) -> float:
    """Intersection over union of two boxes `(4,)`."""
    return float(overlaps(first[None], second[None])[0, 0])


def suppress(
    boxes: Boxes, scores: NDArray[np.float32], limit: float, measure: Measure = "union"
) -> NDArray[np.intp]:
    """Indices of the boxes `(N, 4)` to keep, best score first.

    A box goes when any box with a better score overlaps it by more than `limit`, also one that
    goes itself: one pass over the matrix of overlaps, as the `mtcnn` package does it, and not the
    greedy loop. Memory grows with N squared: bound N.
    """
    order = np.argsort(-scores, kind="stable")
    rivals = np.triu(overlaps(boxes[order], boxes[order], measure) > limit, k=1)
    return order[~rivals.any(axis=0)]
