"""The store of sessions between two steps: what every store does, and this process's memory."""

import logging
import math
import secrets
import time
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import Enum
from functools import wraps
from typing import Any, ClassVar, TypeVar, cast

from service.errors import Problem, ServiceError
from service.telemetry import Metrics, fields

Method = TypeVar("Method", bound=Callable[..., Awaitable[Any]])
logger = logging.getLogger(__name__)
ENDED = ""  # the epoch of a session that was ended: it refuses the writes of live connections
SWEEP_S = 10.0  # between two looks for what has run out: looking costs time, too


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
    """The outcome of a write."""

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


class SessionStore(ABC):
    """Keeps sessions for a time after their last write. All methods raise StoreUnavailable.

    Every connection writes under an epoch of its own. A write says under which epoch and after
    which step it goes on, and is refused when the session has moved on otherwise, so of two
    connections the newer wins and the older learns of it.

    Of one owner so many sessions are kept, the oldest make room. What another has put in place of
    one is thrown away, see `Session.damage`.
    """

    kind: ClassVar[str]  # for people

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._reason: str | None = None

    @abstractmethod
    async def close(self) -> None:
        """Let go of everything."""

    @abstractmethod
    async def check(self) -> None:
        """Return when the store answers."""

    @abstractmethod
    async def connect(self, address: Address, epoch: str) -> Session:
        """Give the session the new epoch, starting it where there is none; return it."""

    @abstractmethod
    async def resume(self, address: Address, epoch: str) -> Session | None:
        """Give the session the new epoch and return it, None where there is none."""

    @abstractmethod
    async def load(self, address: Address) -> Session | None:
        """Return the session, None where there is none."""

    @abstractmethod
    async def commit(self, address: Address, epoch: str, known: int, new: Session) -> Outcome:
        """Replace the session by `new` if it has `epoch` and a step from `known` to before `new`.

        Steps in between are those of writes whose answer was lost: nobody else writes under this
        epoch. A write that is already there counts as stored. With `known` 0 a missing session is
        started.
        """

    @abstractmethod
    async def delete(self, address: Address) -> bool:
        """End the session, so that connections to it can no longer write; whether there was one."""

    @contextmanager
    def timed(self, operation: str) -> Iterator[None]:
        """Measure one operation."""
        started, outcome = time.perf_counter(), "failed"
        try:
            yield
            outcome = "answered"
            self._note(None)
        except StoreUnavailable as error:
            self._note(error)
            raise
        finally:
            seconds = time.perf_counter() - started
            self._metrics.store.labels(operation, outcome).observe(seconds)

    def _note(self, error: StoreUnavailable | None) -> None:
        """Log when the store goes and when it is back, not every failure in between."""
        reason = None if error is None else error.reason
        if reason == self._reason:
            return
        self._reason = reason
        if error is None:
            logger.info("sessions can be reached again", extra=fields(store=self.kind))
            return
        known = fields(store=self.kind, reason=reason, error=str(error.__cause__))
        logger.warning("sessions cannot be reached", extra=known)


def measured(operation: str) -> Callable[[Method], Method]:
    """Measure a method of a store under the name of its operation."""

    def wrap(method: Method) -> Method:
        @wraps(method)
        async def call(self: SessionStore, *arguments: Any) -> Any:
            with self.timed(operation):
                return await method(self, *arguments)

        return cast(Method, call)

    return wrap


def new_epoch() -> str:
    """Return a name for a connection that no other has; in order, the later opened comes later."""
    # Of one width, so that texts sort as times do.
    return f"{time.time_ns():016x}{secrets.token_hex(4)}"


def check_size(session: Session, most: int) -> None:
    """Raise an internal error for a session of more than `most` bytes: the model is to blame."""
    if session.size > most:
        error = ServiceError(Problem.INTERNAL, "the session cannot be kept")
        error.add_note(f"state and reply have {session.size} bytes; at most {most} are kept")
        raise error


class MemoryStore(SessionStore):
    """Keeps the `most` sessions that were written last, `each` of one owner.

    Beyond that the oldest session of the owner with the most of them makes room. A restart of the
    process loses all.
    """

    kind = "memory"

    def __init__(
        self,
        ttl_s: float,
        most: int,
        max_bytes: int,
        clock: Callable[[], float] = time.time,
        each: int | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        super().__init__(metrics or Metrics())
        self._ttl_s = ttl_s
        self._most = most
        self._each = most if each is None else each
        self._max_bytes = max_bytes
        self._clock = clock
        self._owners: dict[str, OrderedDict[Address, Session]] = {}  # the oldest write first
        self._swept_s = clock()

    def __len__(self) -> int:
        return sum(map(len, self._owners.values()))

    async def close(self) -> None:
        """Forget everything."""
        self._owners.clear()

    @measured("check")
    async def check(self) -> None:
        """Return at once: memory always answers."""

    @measured("connect")
    async def connect(self, address: Address, epoch: str) -> Session:
        found = self._find_live(address)
        session = Session(epoch) if found is None else replace(found, epoch=epoch)
        return self._keep(address, session)

    @measured("connect")
    async def resume(self, address: Address, epoch: str) -> Session | None:
        found = self._find_live(address)
        return None if found is None else self._keep(address, replace(found, epoch=epoch))

    @measured("load")
    async def load(self, address: Address) -> Session | None:
        return self._find_live(address)

    @measured("commit")
    async def commit(self, address: Address, epoch: str, known: int, new: Session) -> Outcome:
        check_size(new, self._max_bytes)
        found = self._find(address)
        if found is None and known > 0:
            return Outcome.MISSING
        if found is not None and not _may_write(found, epoch, known, new):
            return Outcome.CONFLICT
        created_s = 0.0 if found is None else found.created_s
        self._keep(address, replace(new, created_s=created_s))
        return Outcome.STORED

    @measured("delete")
    async def delete(self, address: Address) -> bool:
        found = self._find_live(address)
        if found is not None:
            self._keep(address, Session(ENDED))
        return found is not None

    def _keep(self, address: Address, session: Session) -> Session:
        now = self._clock()
        kept = replace(session, updated_s=now, created_s=session.created_s or now)
        sessions = self._owners.setdefault(address.owner, OrderedDict())
        sessions[address] = kept
        sessions.move_to_end(address)
        self._sweep(now)
        while len(sessions) > self._each:
            # Marks of ended sessions go first: to lose one costs nobody a session.
            ended = (one for one, session in sessions.items() if session.epoch == ENDED)
            del sessions[next(ended, next(iter(sessions)))]
        while len(self) > self._most:
            max(self._owners.values(), key=len).popitem(last=False)
        return kept

    def _sweep(self, now: float) -> None:
        """Forget what has run out, once in a while."""
        if now - self._swept_s < min(SWEEP_S, self._ttl_s):
            return
        self._swept_s = now
        for owner, sessions in list(self._owners.items()):
            while sessions and self._has_run_out(next(iter(sessions.values()))):
                sessions.popitem(last=False)
            if not sessions:
                del self._owners[owner]

    def _find_live(self, address: Address) -> Session | None:
        """Return a session that was not ended, None where there is none."""
        found = self._find(address)
        return None if found is None or found.epoch == ENDED else found

    def _find(self, address: Address) -> Session | None:
        found = self._owners.get(address.owner, OrderedDict()).get(address)
        return None if found is None or self._has_run_out(found) else found

    def _has_run_out(self, session: Session) -> bool:
        return self._clock() - session.updated_s >= self._ttl_s


def _may_write(found: Session, epoch: str, known: int, new: Session) -> bool:
    # Written already: the answer to it was lost, and it came again.
    if (found.epoch, found.step) == (new.epoch, new.step):
        return True
    return found.epoch == epoch and known <= found.step < new.step
