"""What the routes of tracking take and answer, as their query model and as OpenAPI shows it."""

from typing import Any

from pydantic import Field

from service.align.examples import TRACKED_FACE
from service.http.responses import PICTURE, problem_responses
from service.live.interface import STEP, StepNumber, end_responses
from service.schemas import Finite
from service.track.replies import TrackReply
from service.track.session import TrackOptions

PATH = "/track/camera-1"


class TrackQuery(TrackOptions):
    """How to look at the frame, and which step it is."""

    step: StepNumber = None
    time_s: Finite | None = Field(
        default=None, description="The frame's time in seconds; that of its arrival if not given."
    )


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
END_RESPONSES = end_responses(PATH)
