"""What a live session answers: the public body of a step, and of frames that were not looked at."""

from typing import Annotated, Final, Literal

from pydantic import Field

from service.errors import ServiceError
from service.schemas import POINTS, Body, Box, Finite, ModelVersion, Point, Share, TimingsMs
from service.streams.subject import Place

RESET: Final = "reset"
DROPPED: Final = "dropped"
ERROR: Final = "error"
FaceStatus = Annotated[
    Literal["tracking", "redetected", "lost"],
    Field(
        description="`tracking`: followed, or new; `redetected`: found again by the detector; "
        "`lost`: not seen in this frame, the box is the last valid one."
    ),
]
FaceBox = Annotated[
    Box, Field(description="Corners x1, y1, x2, y2 of the box around the face, in pixels.")
]
FaceProbability = Annotated[
    Share | None,
    Field(
        description="The validator's probability in [0, 1] that this is a face; null where it was "
        "not asked."
    ),
]
Notes = Annotated[list[str], Field(description="What the client should know, such as why a reset.")]
StepCount = Annotated[int, Field(description="Steps of the session, this one included.")]
Stored = Annotated[
    bool,
    Field(
        description="Whether the session's state is stored; false while the store is away and the "
        "session lives in this connection only."
    ),
]
Status = Literal["tracking", "redetected", "lost", "searching", "reset"]


class FrameSize(Body):
    """The frame as it was looked at: upright."""

    width: int = Field(description="Width of the upright frame, in pixels.")
    height: int = Field(description="Height of the upright frame, in pixels.")


class TrackedFace(Body):
    """One face of a frame; coordinates are pixels of the upright frame."""

    track_id: int = Field(description="Number of the face within its session; it stays with it.")
    status: FaceStatus
    box: FaceBox
    landmarks: Annotated[list[Point], Field(min_length=POINTS, max_length=POINTS)] | None = Field(
        description="The 68 landmarks of the iBUG scheme, x and y, in pixels; null while lost."
    )
    face_probability: FaceProbability
    lost_probability: Share | None = Field(
        None, description="On `redetected`, the probability that lost the face."
    )
    degradation: str | None = Field(
        None, description="What spoils the face's picture, as the denoiser sees it."
    )


class TrackOutputs(Body):
    """What the model says of one frame."""

    model: ModelVersion
    image: FrameSize
    variant: str = Field(description="The tracker that was used, such as `dcrt`.")
    steady: bool = Field(description="Whether looks at a face at rest are brought together.")
    smoothing: bool = Field(description="Whether the landmarks are smoothed over time.")
    status: Status = Field(
        description="The oldest face's status; `searching` without a face; `reset` where the "
        "session started anew with this frame."
    )
    faces: list[TrackedFace] = Field(description="The faces, oldest first.")
    notes: Notes
    timings_ms: TimingsMs


class TrackReply(TrackOutputs):
    """The answer to one frame of a session."""

    sequence: int | None = Field(
        None, description="Which frame of the socket this answers, from 0; null without a socket."
    )
    time_s: Finite = Field(description="The frame's time in seconds, as sent or of its arrival.")
    step: StepCount
    stored: Stored


def build_reply(
    outputs: TrackOutputs, sequence: int | None, time_s: float, place: Place
) -> TrackReply:
    """Return the reply that says `outputs`, which have been checked, and where they belong."""
    return TrackReply.model_construct(
        **dict(outputs), sequence=sequence, time_s=time_s, step=place.step, stored=place.stored
    )


class DroppedReply(Body):
    """The answer to a frame that a newer one replaced before its turn came."""

    sequence: int
    time_s: Finite
    status: Literal["dropped"] = "dropped"


class ErrorInfo(Body):
    """A problem as problem+json names it."""

    type: str = Field(description="Stable name of the problem, a URN; programs compare this.")
    title: str = Field(description="The problem in a few words, the same in every case.")
    status: int = Field(description="The HTTP status that the problem has elsewhere.")
    detail: str = Field(description="What was found in this case, and what would be right.")


class ErrorReply(Body):
    """The answer to a message that cannot be used; the session goes on from where it was."""

    sequence: int | None = Field(description="Which frame this answers; null for a text message.")
    time_s: Finite | None
    status: Literal["error"] = "error"
    error: ErrorInfo


def error_info(error: ServiceError) -> ErrorInfo:
    """Return what is told of `error`."""
    return ErrorInfo(
        type=error.problem.uri,
        title=error.problem.title,
        status=error.problem.status,
        detail=error.detail,
    )


def error_reply(sequence: int | None, time_s: float | None, error: ServiceError) -> ErrorReply:
    """Return the reply that tells of `error`."""
    return ErrorReply(sequence=sequence, time_s=time_s, error=error_info(error))
