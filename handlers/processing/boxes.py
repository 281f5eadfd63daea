"""Square crops around a box: cut out of a picture, and points carried into them and back."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Crop:
    """A square window on a picture, turned by an angle and scaled to `size` x `size` pixels.

    `centre` is in picture pixels, `side` the window's length in picture pixels, `angle_rad` the
    direction of the crop's x axis in the picture (positive turns from x towards y, clockwise as
    seen).
    """

    centre: tuple[float, float]
    side: float
    size: int = 128
    angle_rad: float = 0.0

    @classmethod
    def around(cls, box: Floats, context: float, size: int = 128, angle_rad: float = 0.0) -> "Crop":
        """The crop whose side is `context` times the longer side of `box` (x1, y1, x2, y2)."""
        x1, y1, x2, y2 = (float(value) for value in box)
        side = max(x2 - x1, y2 - y1, 1.0) * context
        return cls(((x1 + x2) / 2, (y1 + y2) / 2), side, size, angle_rad)

    @property
    def scale(self) -> float:
        """Crop pixels per picture pixel."""
        return self.size / self.side

    def matrix(self) -> NDArray[np.float64]:
        """The 2 x 3 affine map from picture pixels to crop pixels."""
        cosine, sine = self.scale * math.cos(self.angle_rad), self.scale * math.sin(self.angle_rad)
        (x, y), middle = self.centre, (self.size - 1) / 2
        return np.array(
            [
                [cosine, sine, middle - cosine * x - sine * y],
                [-sine, cosine, middle + sine * x - cosine * y],
            ]
        )

    def to_crop(self, points: Floats) -> Floats:
        """Points `(..., 2)` in picture pixels, in crop pixels."""
        matrix = self.matrix()
        return np.asarray(points @ matrix[:, :2].T + matrix[:, 2], dtype=np.float32)

    def from_crop(self, points: Floats) -> Floats:
        """Points `(..., 2)` in crop pixels, in picture pixels."""
        matrix = self.matrix()
        # A rotation's inverse is its transpose; the scale goes in twice.
        linear = matrix[:, :2] / self.scale**2
        return np.asarray((points - matrix[:, 2]) @ linear, dtype=np.float32)

    def extract(self, image: Image) -> Image:
        """Cut the crop `(size, size, 3)` uint8 out of a picture; black beyond its border.

        Where the picture shrinks by more than 1.5, it is averaged down first: bilinear sampling
        alone would alias.
        """
        matrix = self.matrix()
        if self.scale < 1 / 1.5:
            image, matrix = _shrink(image, matrix, self)
        return np.asarray(
            cv2.warpAffine(image, matrix, (self.size, self.size), flags=cv2.INTER_LINEAR), np.uint8
        )


def _shrink(
    image: Image, matrix: NDArray[np.float64], crop: Crop
) -> tuple[Image, NDArray[np.float64]]:
    """The part of the picture that the crop needs, averaged down to about the crop's scale.

    Averaging a whole number of pixels is many times faster than any other ratio.
    """
    factor = round(1 / crop.scale)
    turned = abs(np.cos(crop.angle_rad)) + abs(np.sin(crop.angle_rad))
    reach = crop.side / 2 * turned + 2 * factor
    x1, y1 = (max(int(value - reach), 0) for value in crop.centre)
    x2, y2 = (int(value + reach) + 1 for value in crop.centre)
    part = image[y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)]
    height, width = (length // factor for length in part.shape[:2])
    if height == 0 or width == 0:
        return image, matrix
    part = part[: height * factor, : width * factor]
    small = np.asarray(cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    # Pixel centres: part = (small + 0.5) * factor - 0.5.
    linear = matrix[:, :2] * factor
    shift = matrix[:, :2] @ (np.array([x1, y1]) + (factor - 1) / 2) + matrix[:, 2]
    return small, np.hstack([linear, shift[:, None]])
