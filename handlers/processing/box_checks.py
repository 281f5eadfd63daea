"""What a caller wrote as a box, and whether a face can be looked for there."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

NAMED = 5
# Times the picture's longer side: a face may reach out of the picture, but not so far.
LARGEST_BOX = 10


def box_fault(box: object, width: int, height: int) -> str | None:
    """What is wrong with `[x1, y1, x2, y2]` in a picture of this size in pixels; None if nothing.

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
