"""A socket's messages into frames with their times, and into what a text asks for."""

import json
import math
import struct
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from service.errors import Problem, ServiceError

# Kind byte and time in Unix seconds or by any clock of the client; no picture begins with `F`.
HEADER = struct.Struct("<cd")
FRAME = b"F"
MAX_TEXT = 4096
LATEST_S = 1e10


class Reset(BaseModel):
    """`{"type": "reset"}`: the next frame starts the session anew."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["reset"]


class Options(BaseModel):
    """`{"type": "options", ...}`: how the frames are to be treated; before the first one."""

    model_config = ConfigDict(extra="allow")

    type: Literal["options"]

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
