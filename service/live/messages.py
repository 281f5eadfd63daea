"""Messages of a socket: how they are read, the queue in which they wait, replies of all models."""

import asyncio
import json
import math
import struct
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
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
MOST_WAITING = 1000  # arrivals, dropped frames included: each has its reply
MOST_FRAMES = 2  # that wait where none is dropped
MOST_HELD = 100  # arrivals, of a client that delays its frames
MOST_BYTES = 32 * 2**20  # of frames that are held back


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
        """Return the options by name, not yet checked."""
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
    # RecursionError: thousands of brackets fit into a text.
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


class Kind(Enum):
    """The kind of a message; `MESSAGE` is one that cannot be told."""

    FRAME = "frame"
    SOUND = "sound"
    TEXT = "text"
    MESSAGE = "message"


@dataclass
class Arrival:
    """One message that waits for its turn: a frame, sound to be heard, a mistake, or a reply.

    `sequence` counts the session's frames on this socket from 0, None for all else. `arrived_s` is
    on the clock of time.perf_counter. `reset` starts the session anew first. `notes` are told with
    the reply; one that is known already is `reply`.
    """

    sequence: int | None
    arrived_s: float
    time_s: float | None = None
    data: bytes = b""
    reset: bool = False
    dropped: bool = False
    error: ServiceError | None = None
    kind: Kind = Kind.FRAME
    notes: Sequence[str] = ()
    reply: Body | None = None

    @property
    def is_frame(self) -> bool:
        """Whether it is a frame that is still to be looked at."""
        return self.kind is Kind.FRAME and not self.dropped and self.error is None

    def drop(self) -> None:
        """Give up the picture; its reply says so."""
        # The picture is freed at once: its arrival waits on for its turn to be answered.
        self.dropped, self.data = True, b""


class Mailbox:
    """Arrivals in order. With `drop` only the latest frames wait, mostly one: newer ones take their
    place.

    Without, two wait and whoever puts a third waits too, which stops the reading of the socket and
    so, in the end, the client.
    """

    def __init__(self, drop: bool) -> None:
        self.drop = drop
        self._arrivals: deque[Arrival] = deque()
        self._newest: list[Arrival] = []  # frames put last that still wait
        self._ended = False
        self._changed = asyncio.Condition()

    async def put(self, *arrivals: Arrival) -> None:
        """Add what came due together, once there is room."""
        async with self._changed:
            await self._changed.wait_for(self._has_room)
            if self.drop and (frames := [one for one in arrivals if one.is_frame]):
                self._replace_by(frames)
            self._arrivals.extend(arrivals)
            self._changed.notify_all()

    async def first(self) -> Arrival | None:
        """Return the first arrival and leave it there; None when nothing will come any more."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._arrivals or self._ended)
            return self._arrivals[0] if self._arrivals else None

    async def take(self) -> Arrival:
        """Remove the first arrival; there must be one."""
        async with self._changed:
            self._changed.notify_all()
            arrival = self._arrivals.popleft()
            self._newest = [frame for frame in self._newest if frame is not arrival]
            return arrival

    async def end(self) -> None:
        """Say that nothing will come any more."""
        async with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _has_room(self) -> bool:
        return len(self._arrivals) < (MOST_WAITING if self.drop else MOST_FRAMES)

    def _replace_by(self, newer: list[Arrival]) -> None:
        # What was to start anew with a frame that gives way starts with the one in its place.
        for frame in self._newest:
            newer[0].reset = newer[0].reset or frame.reset
            frame.drop()
        self._newest = newer


class Held:
    """Arrivals in order: a frame that is not due yet, and what came behind it; bounded."""

    def __init__(self) -> None:
        self._arrivals: deque[Arrival] = deque()
        self._bytes = 0

    def put(self, arrival: Arrival) -> None:
        """Add the latest arrival."""
        self._arrivals.append(arrival)
        self._bytes += len(arrival.data)

    def take(self, due_s: float) -> list[Arrival]:
        """Remove what may be answered, frames up to a time of theirs; of too many the oldest."""
        taken = []
        while self._arrivals and (self._is_full or _is_due(self._arrivals[0], due_s)):
            taken.append(self._arrivals.popleft())
            self._bytes -= len(taken[-1].data)
        return taken

    @property
    def _is_full(self) -> bool:
        return len(self._arrivals) > MOST_HELD or self._bytes > MOST_BYTES


def _is_due(arrival: Arrival, due_s: float) -> bool:
    return not arrival.is_frame or arrival.time_s is None or arrival.time_s <= due_s
