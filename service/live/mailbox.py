"""The queue between the reader of a socket and the answering task: the newest frame wins."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from service.errors import ServiceError
from service.schemas import Body

MOST_WAITING = 1000  # arrivals, dropped frames included: each has its reply
MOST_FRAMES = 2  # that wait where none is dropped
MOST_HELD = 100  # arrivals, of a client that delays its frames
MOST_BYTES = 32 * 2**20  # of frames that are held back


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
