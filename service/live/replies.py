"""What every live session answers: drops, errors and the fields that its replies share."""

from typing import Annotated, Final, Literal

from pydantic import Field

from service.errors import ServiceError
from service.schemas import Body, FaceRecord, Seconds, Share

RESET: Final = "reset"
DROPPED: Final = "dropped"
ERROR: Final = "error"
Notes = Annotated[list[str], Field(description="What the client should know, such as why a reset.")]
StepCount = Annotated[int, Field(description="Steps of the session, this one included.")]
Stored = Annotated[
    bool,
    Field(
        description="Whether the session's state is stored; false while the store is away and the "
        "session lives in this connection only."
    ),
]


class TrackedFace(FaceRecord):
    """One face that is followed through a session or a clip."""

    track_id: int = Field(description="Number of the face within its session or clip.")
    status: Literal["tracking", "redetected", "lost"] = Field(
        description="`tracking`: followed, or new; `redetected`: found again by the detector; "
        "`lost`: not seen in this frame, the box is the last valid one."
    )
    lost_probability: Share | None = Field(
        None, description="On `redetected`, the probability that lost the face."
    )


class DroppedReply(Body):
    """The answer to a frame that a newer one replaced before its turn came."""

    sequence: int
    time_s: Seconds
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
    time_s: Seconds | None
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
