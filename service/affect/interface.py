"""The interface of affect: query models and OpenAPI descriptions."""

from typing import Annotated, Any

from pydantic import Field

from service.affect.clip import COLUMNS
from service.affect.replies import AffectClipReply, AffectReply, HeardReply, PhotographReply
from service.affect.session import AffectOptions, Delay
from service.align.interface import TRACKED_FACE
from service.clips.replies import SVG
from service.errors import Problem
from service.http.body import CLIP_FIELD, FIELD
from service.http.openapi import BINARY, PICTURE, clip_responses, file_body, problem_responses
from service.live.serving import STEP, StepNumber
from service.options import RATE_HZ
from service.schemas import Finite

SESSION_PATH = "/affect/camera-1"
FRAME_FIELD, SOUND_FIELD = "frame", "sound"
EXAMPLE_MODEL = {"name": "affect", "version": "0.1.0", "sha256": "c41e" + 60 * "0"}
EXAMPLE_FRAME: dict[str, Any] = {
    "time_s": 1.28,
    "valence": 0.41,
    "arousal": 0.22,
    "quadrant": "positive-active",
    "quadrants": None,
    "attention": [],
    "attention_ages_s": [],
    "gate": 0.5,
    "used": ["face", "voice"],
    "face": TRACKED_FACE,
    "expressions": {
        "neutral": 0.31,
        "happiness": 0.52,
        "surprise": 0.09,
        "sadness": 0.02,
        "anger": 0.01,
        "disgust": 0.01,
        "fear": 0.01,
        "contempt": 0.03,
    },
    "confidence": 0.83,
    "others": [],
    "voice": None,
}
EXAMPLE_STEP: dict[str, Any] = {
    "status": "ok",
    "step": 33,
    "stored": True,
    "milliseconds": 21.4,
    "model": EXAMPLE_MODEL,
    "variant": "face-voice",
    "notes": [],
    "timings_ms": {"decode": 1.9, "face": 9.6, "sound": 1.2, "affect": 7.1},
}
AFFECT_REPLY: dict[str, Any] = {"type": "frame", "sequence": None, **EXAMPLE_FRAME, **EXAMPLE_STEP}
HEARD_REPLY: dict[str, Any] = {"type": "sound", **EXAMPLE_STEP}
EXAMPLE_CLIP: dict[str, Any] = {
    "format": "mp4",
    "duration_s": 10.0,
    "width": 640,
    "height": 480,
    "rotation_deg": 0,
    "decoded_frames": 250,
    "expected_frames": 250,
    "used_frames": 250,
    "sound": {
        **{"sample_rate_hz": 48000, "channels": 2, "decoded_s": 10.0, "expected_s": 10.0},
        **{"level_dbfs": -23.4, "peak_dbfs": -3.1, "band_hz": 11025.0},
    },
    "complete": True,
}
EXAMPLE_SUMMARY: dict[str, Any] = {
    "valence": {"mean": 0.31, "std": 0.18, "min": -0.12, "max": 0.66},
    "arousal": {"mean": 0.16, "std": 0.21, "min": -0.35, "max": 0.52},
    "seconds": {
        "positive-active": 6.4,
        "negative-active": 0.7,
        "negative-passive": 0.4,
        "positive-passive": 1.1,
        "neutral": 1.4,
    },
    "share_with_face": 0.98,
    "share_with_voice": 0.71,
    "gate_mean": 0.64,
}
EXAMPLE_HEAD: dict[str, Any] = {"model": EXAMPLE_MODEL, "variant": "face-voice", "rate_hz": 25.0}
EXAMPLE_TAIL: dict[str, Any] = {
    "status": "ok",
    "notes": [],
    "timings_ms": {
        "open": 204.5,
        "read": 412.0,
        "hear": 41.9,
        "track": 6145.6,
        "encode": 804.3,
        "estimate": 167.6,
        "ask": 7508.5,
        "total": 8047.4,
    },
}
AFFECT_BODY = file_body(
    "The clip, or a photograph, as a form's file or as the body itself, which is taken by what its "
    "bytes are unless it is declared as video/..., audio/... or image/....",
    {"properties": {CLIP_FIELD: BINARY, FIELD: BINARY}, "minProperties": 1, "maxProperties": 1},
)
AFFECT_RESPONSES = clip_responses(
    "/affect",
    "The estimates over time, or of every face of a photograph: of that there is no drawing, and "
    "one line.",
    AffectClipReply | PhotographReply,
    COLUMNS,
    head=EXAMPLE_HEAD,
    clip=EXAMPLE_CLIP,
    moment={"frame": 33, **EXAMPLE_FRAME},
    summary=EXAMPLE_SUMMARY,
    tail=EXAMPLE_TAIL,
    others={
        SVG: {
            "schema": {"type": "string"},
            "example": '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 960 360"></svg>',
        }
    },
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
    **problem_responses(
        SESSION_PATH, (*PICTURE, Problem.INVALID_TIME, Problem.INVALID_SOUND, *STEP)
    ),
}


class AffectQuery(AffectOptions):
    """The options of a clip."""

    rate_hz: Annotated[float, RATE_HZ.bounds, Field(allow_inf_nan=False)] = RATE_HZ.default
    faces: bool = Field(
        default=False, description="Draw small pictures of the face into `image/svg+xml`."
    )


class AffectChunkQuery(AffectOptions):
    """The options of a moment, its times, and the number of its step."""

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
