"""Where sessions live between two steps: one protocol, and Redis or this process's memory."""

import math
import secrets
import time
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from service.errors import Problem, ServiceError


@dataclass(frozen=True)
class Address:
    """A session's full name: its model, the principal it belongs to, and what that calls it."""

    model: str
    owner: str
    name: str


@dataclass(frozen=True)
class Session:
    """All that is kept of a session; no picture is.

    `epoch` names the connection that may write, `step` counts the session's steps from 1, 0 before
    the first. `state` is the model's, `reply` what the last step answered where that may be asked
    for again. Times are Unix seconds. `damage` says what was wrong with what was kept, where it was
    thrown away: the session then starts anew.
    """

    epoch: str
    step: int = 0
    state: bytes | None = None
    reply: bytes | None = None
    created_s: float = 0.0
    updated_s: float = 0.0
    damage: str | None = None

    @property
    def size(self) -> int:
        """Bytes of state and reply."""
        return len(self.state or b"") + len(self.reply or b"")


class Outcome(Enum):
    """What became of a write."""

    STORED = "stored"
    CONFLICT = "conflict"  # another connection has written, or the session was ended
    MISSING = "missing"  # the store has lost the session, or it ran out


class StoreUnavailable(ServiceError):
    """The store does not answer or cannot take more; it may later."""

    def __init__(self, reason: str, retry_after_s: float = 1.0) -> None:
        super().__init__(
            Problem.STORE_UNAVAILABLE,
            f"the sessions cannot be reached ({reason}); try again shortly",
            headers={"Retry-After": str(max(1, math.ceil(retry_after_s)))},
        )
        self.reason = reason


class SessionStore(Protocol):
    """Keeps sessions for a time after their last write. All methods raise StoreUnavailable.

    Every connection writes under an epoch of its own. A write says under which epoch and after
    which step it goes on, and is refused when the session has moved on otherwise, so of two
    connections the newer wins and the older learns of it.

    Of one owner so many sessions are kept, the oldest make room. What another has put in place of
    one is thrown away, see `Session.damage`.
    """

    @property
    def kind(self) -> str:
        """What it is, for people."""

    async def close(self) -> None:
        """Let go of everything."""

    async def check(self) -> None:
        """Return when the store answers."""

    async def connect(self, address: Address, epoch: str) -> Session:
        """Give the session the new epoch, starting it where there is none; return it."""

    async def resume(self, address: Address, epoch: str) -> Session | None:
        """Give the session the new epoch and return it, None where there is none."""

    async def load(self, address: Address) -> Session | None:
        """Return the session, None where there is none."""

    async def commit(self, address: Address, epoch: str, known: int, new: Session) -> Outcome:
        """Replace the session by `new` if it has `epoch` and a step from `known` to before `new`.

        Steps in between are those of writes whose answer was lost: nobody else writes under this
        epoch. A write that is already there counts as stored. With `known` 0 a missing session is
        started.
        """

    async def delete(self, address: Address) -> bool:
        """End the session, so that connections to it can no longer write; whether there was one."""


def new_epoch() -> str:
    """Return a name for a connection that no other has; in order, the later opened comes later."""
    return f"{time.time_ns():016x}{secrets.token_hex(4)}"


def check_size(session: Session, most: int) -> None:
    """Raise an internal error for a session of more than `most` bytes: the model is to blame."""
    if session.size > most:
        error = ServiceError(Problem.INTERNAL, "the session cannot be kept")
        error.add_note(f"state and reply have {session.size} bytes; at most {most} are kept")
        raise error


def now_s() -> float:
    """Return the time that sessions are stamped with: Unix seconds, the same on every replica."""
    return time.time()
