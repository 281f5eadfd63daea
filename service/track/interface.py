"""The interface of tracking: query models and OpenAPI descriptions."""

from typing import Annotated, Any

from pydantic import Field

from service.align.interface import TRACKED_FACE
from service.http.openapi import PICTURE, clip_responses, problem_responses
from service.live.serving import STEP, StepNumber
from service.options import TRACK_RATE_HZ
from service.schemas import Finite
from service.track.clip import TRACK_COLUMNS
from service.track.replies import TrackClipReply, TrackReply
from service.track.session import TrackOptions

PATH = "/track/camera-1"
TRACK_REPLY: dict[str, Any] = {
    "type": "frame",
    "model": {"name": "track", "version": "0.1.0", "sha256": "5d7a" + 60 * "0"},
    "image": {"width": 640, "height": 480},
    "variant": "dcrt",
    "steady": True,
    "smoothing": False,
    "status": "tracking",
    "faces": [TRACKED_FACE],
    "notes": [],
    "timings_ms": {"decode": 3.1, "track": 9.8, "align": 8.4},
    "sequence": None,
    "time_s": 1.28,
    "step": 33,
    "stored": True,
}
TRACK_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The faces of the frame.",
        "model": TrackReply,
        "content": {"application/json": {"example": TRACK_REPLY}},
    },
    **problem_responses(PATH, (*PICTURE, *STEP)),
}
CLIP = {
    **{"format": "mp4", "duration_s": 10.0, "width": 640, "height": 480, "rotation_deg": 0},
    **{"decoded_frames": 250, "expected_frames": 250, "used_frames": 250},
    **{"sound": None, "complete": True},
}
SUMMARY = {
    **{"faces": 1, "frames_with_face": 248, "frames_lost": 2, "frames_without": 0},
    "blinks": [{"track_id": 1, "start_s": 3.16, "end_s": 3.32}],
}
CLIP_RESPONSES = clip_responses(
    "/track",
    "The faces over time.",
    TrackClipReply,
    TRACK_COLUMNS,
    head={"model": TRACK_REPLY["model"], "variant": "dcrt", "rate_hz": None},
    clip=CLIP,
    moment={"frame": 33, "time_s": 1.28, "status": "tracking", "faces": [TRACKED_FACE]},
    summary=SUMMARY,
    tail={"status": "ok", "notes": [], "timings_ms": {"track": 2437.0}},
)


class TrackQuery(TrackOptions):
    """The options of a frame, and the number of its step."""

    step: StepNumber = None
    time_s: Finite | None = Field(
        default=None, description="The frame's time in seconds; that of its arrival if not given."
    )


class TrackClipQuery(TrackOptions):
    """The options of a clip."""

    rate_hz: Annotated[float | None, TRACK_RATE_HZ.bounds, Field(allow_inf_nan=False)] = (
        TRACK_RATE_HZ.default
    )
