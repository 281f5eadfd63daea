"""What the routes of affect's sessions take and answer, as OpenAPI shows it."""

from typing import Any

from pydantic import Field

from service.body import MULTIPART
from service.errors import Problem
from service.routes.affect_examples import AFFECT_REPLY, HEARD_REPLY
from service.routes.align_interface import RAW_TYPES
from service.routes.responses import WITH_KEY, problem_responses
from service.schemas import Finite
from service.streams.affect_model import AffectOptions
from service.streams.affect_replies import AffectReply, HeardReply

FRAME_FIELD, SOUND_FIELD = "frame", "sound"


class AffectChunkQuery(AffectOptions):
    """How to estimate, when it was, and which step it is."""

    step: int | None = Field(
        default=None,
        ge=1,
        description="Number that this step is to have, from 1. A repeat of the last step returns "
        "its reply again, any other number is refused.",
    )
    time_s: Finite | None = Field(
        default=None,
        ge=0,
        description="Time of the frame in seconds, later than that of the last one; that of its "
        "arrival if not given. Without a frame, the moment to estimate from the sound.",
    )
    sound_time_s: Finite | None = Field(
        default=None,
        ge=0,
        description="Time of the sound's first sample in seconds; if not given, the sound ends "
        "with the frame.",
    )


_BINARY = {"type": "string", "format": "binary"}
_FORM = {
    "schema": {
        "type": "object",
        "properties": {
            FRAME_FIELD: {**_BINARY, "description": "An encoded picture."},
            SOUND_FIELD: {
                **_BINARY,
                "description": "16-bit little-endian mono PCM at 22 050 Hz, at most 10 s.",
            },
        },
        "minProperties": 1,
    }
}
CHUNK_OPENAPI: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "A frame, sound, or both, as a form's files; or a frame as the body itself.",
        "content": {MULTIPART: _FORM, **{name: {"schema": _BINARY} for name in RAW_TYPES}},
    }
}
_STORE = (Problem.STORE_UNAVAILABLE, Problem.INVALID_REQUEST, *WITH_KEY)
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
    **problem_responses(
        "/affect/camera-1",
        (
            Problem.BODY_TOO_SLOW,
            Problem.SESSION_TAKEN,
            Problem.WRONG_STEP,
            Problem.BODY_TOO_LARGE,
            Problem.NOT_AN_IMAGE,
            Problem.UNSUPPORTED_FORMAT,
            Problem.CONTENT_TYPE_MISMATCH,
            Problem.UNSUPPORTED_MEDIA_TYPE,
            Problem.EMPTY_BODY,
            Problem.INVALID_MULTIPART,
            Problem.INVALID_IMAGE,
            Problem.TRUNCATED_IMAGE,
            Problem.TOO_MANY_PIXELS,
            Problem.INVALID_TIME,
            Problem.INVALID_SOUND,
            Problem.OVERLOADED,
            Problem.UNAVAILABLE,
            Problem.TIMEOUT,
            *_STORE,
        ),
    ),
}
END_RESPONSES: dict[int | str, dict[str, Any]] = {
    204: {"description": "The session has ended; its state is gone."},
    **problem_responses("/affect/camera-1", (Problem.NOT_FOUND, *_STORE)),
}
