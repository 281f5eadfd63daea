"""What POST /align takes and answers: its query, the boxes in it, and its OpenAPI."""

import json
import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal, NoReturn

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from service.align.examples import ALIGN_REPLY, NO_FACE_REPLY
from service.errors import Problem, ServiceError
from service.http.openapi import (
    BINARY,
    MODEL,
    NOTES_HEADERS,
    PICTURE,
    WITH_KEY,
    problem_responses,
)
from service.openface import OPENFACE_COLUMNS, OUR_COLUMNS
from service.options import ALIGN_MAX_FACES, DENOISE, MIN_FACE_PX, MIN_QUALITY
from service.schemas import AlignReply

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


JSON, PNG, CSV = "application/json", "image/png", "text/csv"
IncludeList = Annotated[
    str, StringConstraints(pattern=r"^(aligned|denoised)(,(aligned|denoised))*$")
]


class AlignQuery(BaseModel):
    """How to look at the picture; names that are not listed here are refused."""

    model_config = ConfigDict(extra="forbid")

    boxes: list[str] = Field(
        default=[],
        description="Face boxes in pixels of the upright picture, one a parameter, such as "
        "`212,141,352,290` (x1, y1, x2, y2), or as JSON, `[[212, 141, 352, 290]]`. They are tight "
        "around the landmarks, and the detector is skipped.",
    )
    max_faces: Annotated[int | None, ALIGN_MAX_FACES.bounds] = None
    denoise: Annotated[Literal["auto", "off"], DENOISE.bounds] = "auto"
    include: list[IncludeList] = Field(
        default=[],
        description="Pictures to put into the JSON reply as PNG data URLs: `aligned`, `denoised`; "
        "repeated or with commas.",
    )
    min_face_px: Annotated[int, MIN_FACE_PX.bounds] = MIN_FACE_PX.default
    min_quality: Annotated[float, MIN_QUALITY.bounds] = MIN_QUALITY.default

    def included(self) -> list[str]:
        """Return the names in `include`, each once, in order."""
        return list(dict.fromkeys(name for item in self.include for name in item.split(",")))


_MODEL_HEADER = {
    "Countenance-Model": {
        "description": "Name and version of the model that answered.",
        "schema": {"type": "string"},
    },
    "X-Request-ID": {
        "description": "Identifies the request in the service's log.",
        "schema": {"type": "string"},
    },
}
ALIGN_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The faces; an empty list where there is none.",
        "model": AlignReply,
        "headers": {**_MODEL_HEADER, **NOTES_HEADERS},
        "content": {
            JSON: {
                "examples": {
                    "one face": {"value": ALIGN_REPLY},
                    "no face": {"value": NO_FACE_REPLY},
                }
            },
            PNG: {"schema": BINARY},
            CSV: {
                "schema": {"type": "string"},
                "example": ",".join((*OPENFACE_COLUMNS, *OUR_COLUMNS)) + "\n",
            },
        },
    },
    **problem_responses(
        "/align",
        (
            Problem.NOT_ACCEPTABLE,
            *PICTURE,
            Problem.INVALID_BOX,
            Problem.INVALID_REQUEST,
            *MODEL,
            *WITH_KEY,
        ),
    ),
}
