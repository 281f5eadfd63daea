"""What every live session answers: drops, errors and the fields that its replies share."""

from typing import Annotated, Final, Literal

from pydantic import Field

from service.errors import ServiceError
from service.live.mailbox import Arrival
from service.schemas import Body, Seconds

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


class DroppedReply(Body):
    """The answer to a frame that a newer one replaced before its turn came."""

    type: Literal["frame"] = "frame"
    sequence: int = Field(description="Which frame of the socket this answers, from 0.")
    status: Literal["dropped"] = "dropped"
    time_s: Seconds


class ErrorInfo(Body):
    """A problem as problem+json names it."""

    type: str = Field(description="Stable name of the problem, a URN; programs compare this.")
    title: str = Field(description="The problem in a few words, the same in every case.")
    status: int = Field(description="The HTTP status that the problem has elsewhere.")
    detail: str = Field(description="What was found in this case, and what would be right.")


class ErrorReply(Body):
    """The answer to a message that cannot be used; the session goes on from where it was."""

    type: Literal["error"] = "error"
    of: Literal["frame", "sound", "text", "message"] = Field(
        description="What the message came as; `message` where that cannot be told."
    )
    sequence: int | None = Field(
        description="Which frame of the socket this answers, from 0; null for all but frames."
    )
    status: Literal["error"] = "error"
    time_s: Seconds | None = Field(description="The message's time; null where it has none.")
    error: ErrorInfo


def error_info(error: ServiceError) -> ErrorInfo:
    """Return what is told of `error`."""
    return ErrorInfo(
        type=error.problem.uri,
        title=error.problem.title,
        status=error.problem.status,
        detail=error.detail,
    )


def dropped_reply(arrival: Arrival) -> DroppedReply:
    """Return the reply to a frame that a newer one replaced."""
    return DroppedReply(sequence=arrival.sequence or 0, time_s=arrival.time_s or 0.0)


def error_reply(arrival: Arrival, error: ServiceError) -> ErrorReply:
    """Return the reply to a message that could not be used."""
    return ErrorReply(
        of=arrival.kind.value,
        sequence=arrival.sequence,
        time_s=arrival.time_s,
        error=error_info(error),
    )
