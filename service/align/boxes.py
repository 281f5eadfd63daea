"""The `boxes` of a query into numbers; whether they lie in the picture is the model's question."""

import json
import math
from collections.abc import Sequence
from typing import Any, NoReturn

from service.errors import Problem, ServiceError

SHOWN = 60


def parse_boxes(values: Sequence[str], most: int) -> list[list[float]] | None:
    """Read boxes written `x1,y1,x2,y2`, one a value, or as JSON lists; None where none are given.

    Raises ServiceError (invalid-box) naming the box: not four finite numbers, without area, or
    more than `most` boxes.
    """
    boxes = [box for value in values for box in _parse_value(value)]
    if len(boxes) > most:
        _refuse(f"{len(boxes)} boxes came; at most {most} are taken")
    return boxes or None


def _parse_value(value: str) -> list[list[float]]:
    if not value.lstrip().startswith("["):
        return [_check_box(value.split(","), value)]
    try:
        content = json.loads(value)
    except (ValueError, RecursionError):
        _refuse(f"{value[:SHOWN]!r} is no JSON; write x1,y1,x2,y2 or [[x1,y1,x2,y2], ...]")
    nested = bool(content) and all(isinstance(item, list) for item in content)
    return [_check_box(item, item) for item in (content if nested else [content])]


def _check_box(items: Sequence[Any], shown: object) -> list[float]:
    if len(items) != 4:
        _refuse(f"box {str(shown)[:SHOWN]!r} has {len(items)} numbers; x1,y1,x2,y2 are needed")
    try:
        box = [_to_float(item) for item in items]
    except (ValueError, OverflowError):
        _refuse(f"box {str(shown)[:SHOWN]!r} is not made of four numbers")
    if not all(math.isfinite(number) for number in box):
        _refuse(f"box {str(shown)[:SHOWN]!r} holds a number that is not finite")
    x1, y1, x2, y2 = box
    if x2 <= x1 or y2 <= y1:
        _refuse(f"box {str(shown)[:SHOWN]!r} has no area; x2 > x1 and y2 > y1 are needed")
    return box


def _to_float(item: Any) -> float:
    if isinstance(item, bool) or not isinstance(item, str | int | float):
        raise ValueError
    return float(item)


def _refuse(detail: str) -> NoReturn:
    raise ServiceError(Problem.INVALID_BOX, detail)
