"""What POST /affect takes and answers, as its query model and as OpenAPI shows it."""

import json
from typing import Any

from pydantic import Field

from service.affect.clip_replies import AffectClipReply
from service.affect.examples import CLIP_REPLY, LINES
from service.affect.model import AffectOptions
from service.affect.pages import COLUMNS, CSV, JSON, NDJSON, SVG
from service.errors import Problem
from service.http.bodies import file_body, one_file
from service.http.responses import MODEL, WITH_KEY, problem_responses

CLIP_FIELD = "clip"


class AffectQuery(AffectOptions):
    """How to look at the clip."""

    rate_hz: float = Field(
        default=25.0,
        ge=0.5,
        le=100,
        allow_inf_nan=False,
        description="Most frames to look at, a second; of a slower clip all are.",
    )


CLIP_TYPES = (
    *("video/mp4", "video/quicktime", "video/webm", "video/x-matroska", "video/x-msvideo"),
    *("video/mpeg", "audio/wav", "audio/mpeg", "audio/ogg", "audio/flac", "audio/mp4"),
    "application/octet-stream",
)
CLIP_BODY = file_body(
    "The clip, as a form's file or as the body itself.", one_file(CLIP_FIELD), CLIP_TYPES
)
_TEXT = {"type": "string"}
AFFECT_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The estimates over time.",
        "model": AffectClipReply,
        "content": {
            JSON: {"example": CLIP_REPLY},
            NDJSON: {
                "schema": _TEXT,
                "example": "".join(json.dumps(line) + "\n" for line in LINES),
            },
            CSV: {"schema": _TEXT, "example": ",".join(COLUMNS) + "\n"},
            SVG: {
                "schema": _TEXT,
                "example": '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 960 360"></svg>',
            },
        },
    },
    **problem_responses(
        "/affect",
        (
            Problem.NOT_ACCEPTABLE,
            Problem.BODY_TOO_SLOW,
            Problem.BODY_TOO_LARGE,
            Problem.NOT_A_CLIP,
            Problem.UNSUPPORTED_CLIP,
            Problem.UNSUPPORTED_MEDIA_TYPE,
            Problem.EMPTY_BODY,
            Problem.INVALID_MULTIPART,
            Problem.INVALID_CLIP,
            Problem.EMPTY_CLIP,
            Problem.CLIP_TOO_LONG,
            Problem.CLIP_TOO_COSTLY,
            Problem.TOO_MANY_STREAMS,
            Problem.TOO_MANY_PIXELS,
            Problem.INVALID_REQUEST,
            *MODEL,
            *WITH_KEY,
        ),
    ),
}
