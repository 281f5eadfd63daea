"""The interface of POST /align: query model, boxes in it, OpenAPI description with an example."""

import json
import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal, NoReturn

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from service.errors import Problem, ServiceError
from service.http.openapi import (
    BINARY,
    MODEL,
    NOTES_HEADERS,
    PICTURE,
    WITH_KEY,
    problem_responses,
)
from service.openface import ACTIONS, OPENFACE_COLUMNS, OUR_COLUMNS
from service.options import ALIGN_MAX_FACES, DENOISE, MIN_FACE_PX, MIN_QUALITY
from service.schemas import AlignReply, FaceRecord

EXAMPLE_MODEL = {"name": "align", "version": "0.1.0", "sha256": "9f2c" + 60 * "0"}
SHOWN = 60
JSON, PNG, CSV = "application/json", "image/png", "text/csv"
IncludeList = Annotated[
    str, StringConstraints(pattern=r"^(aligned|denoised)(,(aligned|denoised))*$")
]
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


def _curve(count: int, left: float, right: float, middle: float, sag: float) -> list[list[float]]:
    """Return `count` points from left to right along a parabola; positive `sag` hangs down."""
    steps = [index / (count - 1) for index in range(count)]
    return [
        [round(left + step * (right - left), 1), round(middle + 4 * sag * step * (1 - step), 1)]
        for step in steps
    ]


def _ring(count: int, x: float, y: float, width: float, height: float) -> list[list[float]]:
    """Return `count` points of an ellipse, clockwise from its left end."""
    angles = [math.pi - 2 * math.pi * index / count for index in range(count)]
    return [
        [round(x + width / 2 * math.cos(a), 1), round(y - height / 2 * math.sin(a), 1)]
        for a in angles
    ]


LANDMARKS = [
    *_curve(17, 212.0, 352.0, 168.0, 122.0),
    *_curve(5, 226.0, 270.0, 150.0, -9.0),
    *_curve(5, 294.0, 338.0, 150.0, -9.0),
    *[[282.0, 168.0 + 14.0 * index] for index in range(4)],
    *_curve(5, 266.0, 298.0, 222.0, 5.0),
    *_ring(6, 249.0, 168.0, 24.0, 9.0),
    *_ring(6, 315.0, 168.0, 24.0, 9.0),
    *_ring(12, 282.0, 248.0, 54.0, 20.0),
    *_ring(8, 282.0, 248.0, 44.0, 8.0),
]
FACE: dict[str, Any] = {
    "box": [212.0, 141.0, 352.0, 290.0],
    "score": 0.9987,
    "landmarks": LANDMARKS,
    "degradation": {
        "class": "blur",
        "probabilities": {"clean": 0.04, "blur": 0.95, "illumination": 0.01},
    },
    "denoised": True,
    "similarity": {"scale": 0.0071, "rotation_deg": -1.3, "translation": [-2.01, -1.47]},
    "pose": {
        "pitch_deg": -3.1,
        "yaw_deg": 4.4,
        "roll_deg": 1.2,
        "position_mm": [31.2, -12.7, 894.3],
    },
    "quality": 0.83,
    "actions": dict.fromkeys(ACTIONS, 0.02) | {"mouthSmileLeft": 0.61, "mouthSmileRight": 0.58},
    "face_probability": None,
    "aligned": None,
    "denoised_face": None,
}
TRACKED_FACE: dict[str, Any] = {
    **{name: FACE[name] for name in FaceRecord.model_fields},
    "score": None,
    "face_probability": 0.9981,
    "track_id": 1,
    "status": "tracking",
    "lost_probability": None,
}
ALIGN_REPLY: dict[str, Any] = {
    "model": EXAMPLE_MODEL,
    "image": {"width": 640, "height": 480, "format": "JPEG", "rotated": False, "frames": 1},
    "notes": [],
    "faces": [FACE],
    "timings_ms": {"decode": 4.1, "detect": 31.5, "align": 18.9},
}
NO_FACE_REPLY: dict[str, Any] = {
    **ALIGN_REPLY,
    "faces": [],
    "timings_ms": {"decode": 4.2, "detect": 29.8, "align": 0.0},
}


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
    if not value.strip():
        _refuse_none(value)
    if not value.lstrip().startswith("["):
        return [_check_box(value.split(","), value)]
    try:
        content = json.loads(value)
    except (ValueError, RecursionError):
        _refuse(f"{value[:SHOWN]!r} is no JSON; write x1,y1,x2,y2 or [[x1,y1,x2,y2], ...]")
    if not content:
        _refuse_none(value)
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


def _refuse_none(value: str) -> NoReturn:
    _refuse(
        f"{value!r} names no box: leave `boxes` out to have faces searched for, or write "
        "x1,y1,x2,y2"
    )


def _to_float(item: Any) -> float:
    if isinstance(item, bool) or not isinstance(item, str | int | float):
        raise ValueError
    return float(item)


def _refuse(detail: str) -> NoReturn:
    raise ServiceError(Problem.INVALID_BOX, detail)


class AlignQuery(BaseModel):
    """The options of a picture; names that are not listed here are refused."""

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
