"""What the routes of sessions take and answer, as their query model and as OpenAPI shows it."""

from typing import Any

from pydantic import Field

from service.errors import Problem
from service.examples import LANDMARKS
from service.routes.align_interface import ALIGN_OPENAPI
from service.routes.responses import WITH_KEY, problem_responses
from service.schemas import Finite
from service.streams.replies import TrackReply
from service.streams.tracker import TrackOptions


class TrackQuery(TrackOptions):
    """How to look at the frame, and which step it is."""

    step: int | None = Field(
        default=None,
        ge=1,
        description="Number that this step is to have, from 1. A repeat of the last step returns "
        "its reply again, any other number is refused.",
    )
    time_s: Finite | None = Field(
        default=None, description="The frame's time in seconds; that of its arrival if not given."
    )


TRACK_REPLY: dict[str, Any] = {
    "model": {"name": "track", "version": "0.1.0", "sha256": "5d7a" + 60 * "0"},
    "image": {"width": 640, "height": 480},
    "variant": "dcrt",
    "steady": True,
    "smoothing": False,
    "status": "tracking",
    "faces": [
        {
            "track_id": 1,
            "status": "tracking",
            "box": [212.0, 138.0, 352.0, 290.0],
            "landmarks": LANDMARKS,
            "face_probability": 0.9981,
            "lost_probability": None,
            "degradation": "clean",
        }
    ],
    "notes": [],
    "timings_ms": {"decode": 3.1, "track": 9.8, "align": 8.4},
    "sequence": None,
    "time_s": 1.28,
    "step": 33,
    "stored": True,
}
SESSION = {
    "session": "camera-1",
    "streams": [
        {
            "model": "track",
            "step": 33,
            "created": "2025-03-01T10:00:00.000Z",
            "updated": "2025-03-01T10:00:01.280Z",
            "expires": "2025-03-01T10:15:01.280Z",
            "state_bytes": 12345,
        }
    ],
}
TRACK_OPENAPI = ALIGN_OPENAPI
STORE = (Problem.STORE_UNAVAILABLE, Problem.INVALID_REQUEST, *WITH_KEY)
TRACK_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The faces of the frame.",
        "model": TrackReply,
        "content": {"application/json": {"example": TRACK_REPLY}},
    },
    **problem_responses(
        "/track/camera-1",
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
            Problem.OVERLOADED,
            Problem.UNAVAILABLE,
            Problem.TIMEOUT,
            *STORE,
        ),
    ),
}
DELETE_RESPONSES: dict[int | str, dict[str, Any]] = {
    204: {"description": "The session has ended; its state is gone."},
    **problem_responses("/track/camera-1", (Problem.NOT_FOUND, *STORE)),
}
SESSION_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/json": {"example": SESSION}}},
    **problem_responses("/sessions/camera-1", (Problem.NOT_FOUND, *STORE)),
}
