"""Boxes: crops around them, their overlap, and the suppression of those that show a face twice."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

NAMED = 5
# Times the picture's longer side: a face may reach out of the picture, but not so far.
LARGEST_BOX = 10
Boxes = NDArray[np.float32]
Measure = Literal["union", "smaller"]
CROP_PX = 128
HALF_RANGE = np.float32(127.5)
Image = NDArray[np.uint8]
Floats = NDArray[np.float32]


def box_fault(box: object, width: int, height: int) -> str | None:
    """Name the fault of `[x1, y1, x2, y2]` in a picture of this size in pixels, or None.

    A right box has an area, is at least a pixel long, lies on the picture at least in part, and is
    not out of all proportion to it.
    """
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_finite, box)):
        return "is not four finite numbers x1, y1, x2, y2"
    x1, y1, x2, y2 = box
    if x2 <= x1 or y2 <= y1:
        return "has no area; x2 > x1 and y2 > y1 are needed"
    if x2 <= 0 or y2 <= 0 or x1 >= width or y1 >= height:
        return f"lies outside of the upright picture of {width} x {height} pixels"
    side = max(x2 - x1, y2 - y1)
    if side < 1:
        return "is smaller than a pixel"
    if side > LARGEST_BOX * max(width, height):
        return f"is over {LARGEST_BOX} times as long as the picture of {width} x {height} pixels"
    return None


def beyond_picture(boxes: Sequence[Floats], width: int, height: int) -> list[str]:
    """Say which boxes `(4,)` reach beyond a picture, where nothing of a face is seen."""
    edge = np.array((width, height, width, height), np.float32)
    beyond = [number for number, box in enumerate(boxes) if (box < 0).any() or (box > edge).any()]
    if not beyond:
        return []
    named = ", ".join(f"boxes[{number}]" for number in beyond[:NAMED])
    more = f" and {len(beyond) - NAMED} more" if len(beyond) > NAMED else ""
    return [f"reaches beyond the picture of {width} x {height} pixels: {named}{more}"]


def _is_finite(value: object) -> bool:
    try:
        return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]
    except OverflowError:  # a whole number beyond all floats
        return False


def box_areas(boxes: Boxes) -> NDArray[np.float32]:
    """Compute the areas `(N,)` of boxes `(N, 4)`; 0 where a box is turned inside out."""
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    return np.asarray(sides[:, 0] * sides[:, 1], np.float32)


def overlaps(first: Boxes, second: Boxes, measure: Measure = "union") -> NDArray[np.float32]:
    """Compute the pairwise overlap `(N, M)` in [0, 1] of boxes `(N, 4)` and `(M, 4)`.

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
    """Compute the intersection over union of two boxes `(4,)`."""
    return float(overlaps(first[None], second[None])[0, 0])


def suppress(
    boxes: Boxes, scores: NDArray[np.float32], limit: float, measure: Measure = "union"
) -> NDArray[np.intp]:
    """Return the indices of the boxes `(N, 4)` to keep, best score first.

    A box goes when any box with a better score overlaps it by more than `limit`, also one that
    goes itself: one pass over the matrix of overlaps, as the `mtcnn` package does it, and not the
    greedy loop. Memory grows with N squared: bound N.
    """
    # Stable: boxes of equal scores keep their order on every machine.
    order = np.argsort(-scores, kind="stable")
    rivals = np.triu(overlaps(boxes[order], boxes[order], measure) > limit, k=1)
    return order[~rivals.any(axis=0)]


def to_input(crops: Sequence[Image]) -> Floats:
    """Bring crops `(S, S, 3)` uint8 RGB to `(B, 3, S, S)` float32 in [-1, 1]."""
    stacked = np.stack(crops).transpose(0, 3, 1, 2).astype(np.float32, order="C")
    stacked /= HALF_RANGE
    stacked -= 1
    return stacked


def to_image(crop: Floats) -> Image:
    """Bring a crop `(3, S, S)` in [-1, 1] to uint8 RGB `(S, S, 3)`."""
    scaled = np.rint(crop.transpose(1, 2, 0) * HALF_RANGE + HALF_RANGE)
    return np.asarray(np.clip(scaled, 0, 255), np.uint8)


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
        """Return the crop with `context` times the longer side of `box` (x1, y1, x2, y2)."""
        x1, y1, x2, y2 = (float(value) for value in box)
        side = max(x2 - x1, y2 - y1, 1.0) * context
        return cls(((x1 + x2) / 2, (y1 + y2) / 2), side, size, angle_rad)

    @property
    def scale(self) -> float:
        """Crop pixels per picture pixel."""
        return self.size / self.side

    def matrix(self) -> NDArray[np.float64]:
        """Return the 2 x 3 affine map from picture pixels to crop pixels."""
        cosine, sine = self.scale * math.cos(self.angle_rad), self.scale * math.sin(self.angle_rad)
        (x, y), middle = self.centre, (self.size - 1) / 2
        return np.array(
            [
                [cosine, sine, middle - cosine * x - sine * y],
                [-sine, cosine, middle + sine * x - cosine * y],
            ]
        )

    def to_crop(self, points: Floats) -> Floats:
        """Map points `(..., 2)` from picture pixels to crop pixels."""
        matrix = self.matrix()
        return np.asarray(points @ matrix[:, :2].T + matrix[:, 2], dtype=np.float32)

    def from_crop(self, points: Floats) -> Floats:
        """Map points `(..., 2)` from crop pixels to picture pixels."""
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
    """Return the part of the picture that the crop needs, averaged down to about the crop's scale.

    Averaging a whole number of pixels is many times faster than any other ratio.
    """
    factor = round(1 / crop.scale)
    turned = abs(np.cos(crop.angle_rad)) + abs(np.sin(crop.angle_rad))
    # Two averaged pixels more: bilinear sampling looks beyond the border.
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
