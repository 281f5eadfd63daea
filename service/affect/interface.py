"""What POST /affect takes and answers, as its query model and as OpenAPI shows it."""

import json
from typing import Annotated, Any

from pydantic import Field

from service.affect.clip_replies import AffectClipReply
from service.affect.examples import AFFECT_REPLY, CLIP_REPLY, HEARD_REPLY, LINES
from service.affect.model import AffectOptions, Delay
from service.affect.pages import COLUMNS
from service.affect.photograph import PhotographReply
from service.affect.replies import AffectReply, HeardReply
from service.clips.pages import CSV, JSON, NDJSON, SVG
from service.clips.serving import ANY_TYPE, CLIP_FIELD, CLIP_PROBLEMS, SOUND_TYPES, VIDEO_TYPES
from service.errors import Problem
from service.http.openapi import (
    BINARY,
    PICTURE,
    PICTURE_TYPES,
    file_body,
    one_file,
    problem_responses,
)
from service.live.serving import STEP, StepNumber, end_responses
from service.options import RATE_HZ
from service.schemas import Finite

PATH = "/affect/camera-1"
FRAME_FIELD, SOUND_FIELD = "frame", "sound"


class AffectQuery(AffectOptions):
    """How to look at the clip."""

    rate_hz: Annotated[float, RATE_HZ.bounds, Field(allow_inf_nan=False)] = RATE_HZ.default
    faces: bool = Field(
        default=False, description="Draw small pictures of the face into `image/svg+xml`."
    )


AFFECT_BODY = file_body(
    "The clip, as a form's file or as the body itself, or a photograph as the body.",
    one_file(CLIP_FIELD),
    (*VIDEO_TYPES, *SOUND_TYPES, *PICTURE_TYPES, ANY_TYPE),
)
_TEXT = {"type": "string"}
AFFECT_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The estimates over time.",
        "model": AffectClipReply | PhotographReply,
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
    **problem_responses("/affect", CLIP_PROBLEMS),
}


class AffectChunkQuery(AffectOptions):
    """How to estimate, when it was, and which step it is."""

    step: StepNumber = None
    delay_s: Delay = Field(
        default=0.0,
        description="How much later than its time the frame is sent, in seconds, with the sound "
        "that was heard until then.",
    )
    time_s: Finite | None = Field(
        default=None,
        ge=0,
        description="Time of the frame in seconds, later than that of the last one; if not given, "
        "`delay_s` before its arrival. Without a frame, the moment to estimate from the sound.",
    )
    sound_time_s: Finite | None = Field(
        default=None,
        ge=0,
        description="Time of the sound's first sample in seconds; if not given, the sound ends "
        "`delay_s` after the frame.",
    )


_FORM = {
    "properties": {
        FRAME_FIELD: {**BINARY, "description": "An encoded picture."},
        SOUND_FIELD: {
            **BINARY,
            "description": "16-bit little-endian mono PCM at 22 050 Hz, at most 10 s.",
        },
    },
    "minProperties": 1,
}
CHUNK_OPENAPI = file_body(
    "A frame, sound, or both, as a form's files; or a frame as the body itself.",
    _FORM,
    PICTURE_TYPES,
)
CHUNK_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The moment's estimate; only the step where sound came alone.",
        "model": AffectReply | HeardReply,
        "content": {
            "application/json": {
                "examples": {
                    "a frame": {"value": AFFECT_REPLY},
                    "sound alone": {"value": HEARD_REPLY},
                }
            }
        },
    },
    **problem_responses(PATH, (*PICTURE, Problem.INVALID_TIME, Problem.INVALID_SOUND, *STEP)),
}
END_RESPONSES = end_responses(PATH)
