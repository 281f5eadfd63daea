"""Messages of a socket: frames with their times, texts, and the replies that all models share."""

import json
import math
import struct
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from service.errors import Problem, ServiceError
from service.schemas import Body, Seconds

# Kind byte and time in Unix seconds or by any clock of the client; no picture begins with `F`.
HEADER = struct.Struct("<cd")
FRAME = b"F"
MAX_TEXT = 4096  # characters; options are far shorter
LATEST_S = 1e10  # the year 2286: later times are mistakes of unit
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


class Reset(BaseModel):
    """`{"type": "reset"}`: the next frame starts the session anew."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["reset"]


class Options(BaseModel):
    """`{"type": "options", ...}`: how the frames are to be treated; before the first one."""

    model_config = ConfigDict(extra="allow")

    type: Literal["options"]
    confirm: bool = Field(
        False, description="Whether to answer, with all the options, once these are taken."
    )

    @property
    def values(self) -> dict[str, Any]:
        """The options by name, not yet checked."""
        return dict(self.model_extra or {})


_TEXT: TypeAdapter[Reset | Options] = TypeAdapter(Reset | Options)


def split_frame(message: bytes, arrival_s: float) -> tuple[float, bytes]:
    """Return a binary message's time and picture; a bare picture's time is its arrival.

    Behind the kind byte `F` come eight bytes of little-endian float64, the time in seconds. Raises
    ServiceError when the header is cut short or its time cannot be.
    """
    if not message.startswith(FRAME):
        return arrival_s, message
    if len(message) < HEADER.size:
        raise ServiceError(
            Problem.INVALID_REQUEST,
            f"the header of a frame has {HEADER.size} bytes; {len(message)} came",
        )
    _, time_s = HEADER.unpack_from(message)
    return check_time(time_s), message[HEADER.size :]


def check_time(time_s: float) -> float:
    """Return a time in seconds; raises ServiceError for one that cannot be."""
    if not math.isfinite(time_s) or not 0 <= time_s <= LATEST_S:
        raise ServiceError(
            Problem.INVALID_TIME, f"the time is {time_s}; seconds from 0 to {LATEST_S:g} are needed"
        )
    return time_s


def read_text(message: str) -> Reset | Options:
    """Return what a text message asks for; raises ServiceError for anything else."""
    if len(message) > MAX_TEXT:
        raise ServiceError(
            Problem.INVALID_REQUEST,
            f"a text message may have {MAX_TEXT} characters; this one has {len(message)}",
        )
    try:
        return _TEXT.validate_python(json.loads(message))
    except (ValueError, ValidationError, RecursionError) as error:
        raise ServiceError(
            Problem.INVALID_REQUEST,
            f"a text message is {json.dumps({'type': 'reset'})} or "
            f"{json.dumps({'type': 'options'})[:-1]}, ...}}; found {message[:60]!r}",
        ) from error


class OptionsReply(Body):
    """The answer to options that asked for it: the socket is open, and they are taken."""

    type: Literal["options"] = "options"
    options: dict[str, Any] = Field(description="All options of the frames to come.")


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
    of: Literal["frame", "sound", "text", "message", "address"] = Field(
        description="What the message came as; `message` where that cannot be told, `address` for "
        "what refuses the socket, which is closed next."
    )
    sequence: int | None = Field(
        description="Which frame of the socket this answers, from 0; null for all but frames."
    )
    status: Literal["error"] = "error"
    time_s: Seconds | None = Field(
        description="The message's time; null where it has none that can be."
    )
    error: ErrorInfo


def error_info(error: ServiceError) -> ErrorInfo:
    """Return what is told of `error`."""
    return ErrorInfo(
        type=error.problem.uri,
        title=error.problem.title,
        status=error.problem.status,
        detail=error.detail,
    )
