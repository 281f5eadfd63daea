"""From a detected face to the box of its 68 landmarks."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class LandmarkBoxMap:
    """A linear map fitted on annotated faces.

    `weights` `(4, 11)` turn the five points, in fractions of the detector's box, and a 1 into the
    landmark box: its centre `(x, y)` in the same fractions and the logarithms of its width and
    height over those of the detector's box.
    """

    weights: Floats

    def predict(self, boxes: Floats, points: Floats) -> Floats:
        """Landmark boxes `(N, 4)` for detected boxes `(N, 4)` and their points `(N, 5, 2)`."""
        corner, sides = boxes[:, :2], boxes[:, 2:] - boxes[:, :2]
        centre, log_size = np.split(features(boxes, points) @ self.weights.T, 2, axis=1)
        centre, half = corner + centre * sides, sides * np.exp(log_size) / 2
        return np.hstack([centre - half, centre + half]).astype(np.float32)

    @classmethod
    def fit(
        cls, boxes: Floats, points: Floats, landmark_boxes: Floats, shares: Floats
    ) -> "LandmarkBoxMap":
        """Least squares over faces: detected boxes, points, true landmark boxes.

        `shares` `(N,)` weigh the faces.
        """
        corner, sides = boxes[:, :2], boxes[:, 2:] - boxes[:, :2]
        centre = ((landmark_boxes[:, :2] + landmark_boxes[:, 2:]) / 2 - corner) / sides
        log_size = np.log((landmark_boxes[:, 2:] - landmark_boxes[:, :2]) / sides)
        root = np.sqrt(shares)[:, None]
        targets = np.hstack([centre, log_size]) * root
        solution = np.linalg.lstsq(features(boxes, points) * root, targets, rcond=None)[0]
        return cls(np.asarray(solution.T, np.float32))


def features(boxes: Floats, points: Floats) -> Floats:
    """`(N, 11)`: the points as fractions of their boxes, and a 1."""
    corner, sides = boxes[:, None, :2], (boxes[:, 2:] - boxes[:, :2])[:, None]
    fractions = ((points - corner) / sides).reshape(len(boxes), 10)
    return np.hstack([fractions, np.ones((len(boxes), 1))]).astype(np.float32)
