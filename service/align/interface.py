"""The interface of POST /align: query model, boxes in it, OpenAPI description with an example."""

import math
from typing import Any

from service.errors import Problem
from service.http.openapi import BINARY, MODEL, NOTES_HEADERS, PICTURE, WITH_KEY, problem_responses
from service.openface import ACTIONS, OPENFACE_COLUMNS, OUR_COLUMNS
from service.schemas import AlignReply, FaceRecord

EXAMPLE_MODEL = {"name": "align", "version": "0.1.0", "sha256": "9f2c" + 60 * "0"}
JSON, PNG, CSV = "application/json", "image/png", "text/csv"
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
