"""One connection's hold on a session: the state in memory, written through to the store."""

import time
from collections.abc import Callable
from enum import Enum

from service.errors import Problem, ServiceError
from service.sessions import (
    Address,
    Outcome,
    Session,
    SessionStore,
    StoreUnavailable,
    new_epoch,
)


class Kept(Enum):
    """What became of a step's state."""

    STORED = "stored"
    HERE = "here"  # the store is away: in this connection's memory only
    LOST = "lost"  # the store had lost the session: it starts anew and the step is to be repeated


class Hold:
    """What a connection knows of its session while it is the one that steps it.

    While the store is away, the session goes on from here. When the store is back, the state is
    written over what was last known to be there and nothing else: a newer connection keeps what
    it has, and a session that was lost starts anew.
    """

    def __init__(
        self,
        store: SessionStore,
        address: Address,
        outage_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._address = address
        self._outage_s = outage_s
        self._clock = clock
        self._away_since: float | None = None
        self._session = Session(new_epoch())
        self._known_step = 0
        self._reset = False

    @property
    def step(self) -> int:
        """Steps of the session so far."""
        return self._session.step

    @property
    def state(self) -> bytes | None:
        """The model's state for the next step, None to start anew."""
        return self._session.state

    @property
    def outage_is_over_long(self) -> bool:
        """Whether the store has been away for longer than a connection may bridge."""
        return self._away_since is not None and self._clock() - self._away_since >= self._outage_s

    async def connect(self) -> bool:
        """Take the session over; whether it had been stepped before. Raises StoreUnavailable."""
        self._session = await self._store.connect(self._address, self._session.epoch)
        self._known_step = self._session.step
        return self._session.step > 0

    def reset(self) -> None:
        """Let the next step start from no state; steps are counted on."""
        self._reset = True
        self._session = Session(self._session.epoch, self._session.step)

    def take_reset(self) -> bool:
        """Whether the session has started anew since this was last asked."""
        reset, self._reset = self._reset, False
        return reset

    async def keep(self, state: bytes | None) -> Kept:
        """Count one step and keep its state; raises ServiceError when another has the session."""
        new = Session(self._session.epoch, self._session.step + 1, state)
        try:
            outcome = await self._store.commit(self._address, new.epoch, self._known_step, new)
        except StoreUnavailable:
            self._session = new
            if self._away_since is None:
                self._away_since = self._clock()
            return Kept.HERE
        self._away_since = None
        if outcome is Outcome.CONFLICT:
            raise ServiceError(
                Problem.SESSION_TAKEN,
                f"the session {self._address.name!r} was taken over after step {self.step} here",
            )
        if outcome is Outcome.MISSING:
            self._start_anew()
            return Kept.LOST
        self._session, self._known_step = new, new.step
        return Kept.STORED

    def _start_anew(self) -> None:
        """A new epoch: whatever else still writes to the lost session must not meet this one."""
        self._session, self._known_step = Session(new_epoch()), 0
        self._reset = True
