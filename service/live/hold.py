"""One connection's hold on a session, and its steps: the state is written through to the store."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from typing import Any, Generic

from service.errors import Problem, ServiceError
from service.http.problems import as_service_error
from service.live.messages import DROPPED, ERROR, RESET, Arrival, Kind
from service.live.model import Place, Said, Subject
from service.schemas import Body
from service.sessions import Address, Outcome, Session, SessionStore, StoreUnavailable, new_epoch
from service.telemetry import Metrics, fields

logger = logging.getLogger(__name__)


class Kept(Enum):
    """The whereabouts of a step's state."""

    STORED = "stored"
    HERE = "here"  # the store is away: in this connection's memory only
    CHANGED = "changed"  # the session is not what it was taken for: the step is to be repeated


class Hold:
    """A connection's copy of its session while it is the one that steps it.

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
        self._begun = True
        self._reset = False
        self._notes: list[str] = []

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
        """Tell whether the store has been away for longer than a connection may bridge."""
        return self._away_since is not None and self._clock() - self._away_since >= self._outage_s

    async def connect(self) -> bool:
        """Take the session over; return whether it was stepped before. Raises StoreUnavailable.

        One that does not exist begins with its first step: nobody keeps what was never used.
        """
        found = await self._store.resume(self._address, self._session.epoch)
        self._begun = found is not None
        if found is not None:
            self._take(found)
        return self._session.step > 0

    def reset(self) -> None:
        """Let the next step start from no state; steps are counted on."""
        self._reset = True
        self._session = Session(self._session.epoch, self._session.step)

    def take_reset(self) -> bool:
        """Tell whether the session has started anew since this was last asked."""
        reset, self._reset = self._reset, False
        return reset

    def take_notes(self) -> list[str]:
        """Return what is to be said of the session since this was last asked."""
        notes, self._notes = self._notes, []
        return notes

    async def keep(self, state: bytes | None) -> Kept:
        """Count one step and keep its state; raises ServiceError when another has the session."""
        new = Session(self._session.epoch, self._session.step + 1, state)
        try:
            if not self._begun and await self._begin():
                return Kept.CHANGED
            outcome = await self._store.commit(self._address, new.epoch, self._known_step, new)
        except StoreUnavailable:
            # The known step stays: the next write says what the store has, as far as is known.
            self._session = new
            if self._away_since is None:
                self._away_since = self._clock()
            return Kept.HERE
        self._away_since = None
        if outcome is Outcome.CONFLICT:
            raise self._taken()
        if outcome is Outcome.MISSING:
            self._start_anew()
            return Kept.CHANGED
        self._session, self._known_step = new, new.step
        return Kept.STORED

    async def _begin(self) -> bool:
        """Begin the session; return whether another did meanwhile, whose steps it goes on from.

        Raises ServiceError where the other was opened later, or where there are steps here, too.
        """
        began = await self._store.load(self._address)
        # Epochs sort by the time at which connections were opened: the later one keeps it.
        if began is not None and began.epoch > self._session.epoch:
            raise self._taken()
        found = await self._store.connect(self._address, self._session.epoch)
        self._begun = True
        if found.step == 0:
            return False
        if self._session.step > 0:
            raise self._taken()
        self._take(found)
        return True

    def _take(self, found: Session) -> None:
        self._known_step = found.step
        # A reset that was asked for before the session was there holds for what is found, too.
        self._session = replace(found, state=None) if self._reset else found
        if found.damage is not None:
            self._reset = True
            self._notes.append(f"the session starts anew: {found.damage}")

    def _taken(self) -> ServiceError:
        return ServiceError(
            Problem.SESSION_TAKEN,
            f"the session {self._address.name!r} was taken over after step {self.step} here",
        )

    def _start_anew(self) -> None:
        """Take a new epoch: a connection that still writes to the lost session is refused."""
        self._session, self._known_step = Session(new_epoch()), 0
        self._reset = True


class Stepper(Generic[Said]):
    """Steps the session that a socket holds, whatever its subject is."""

    def __init__(self, hold: Hold, subject: Subject[Said, Any], metrics: Metrics) -> None:
        self.subject = subject
        self._hold = hold
        self._metrics = metrics

    async def answer(self, arrival: Arrival) -> tuple[Body | None, ServiceError | None]:
        """Return the reply, None where none is due, and where it is the last one the reason.

        Never raises.
        """
        try:
            if arrival.error is not None:
                raise arrival.error
            if arrival.reply is not None:
                return arrival.reply, None
            if arrival.dropped:
                self._count(DROPPED)
                return self.subject.dropped(arrival), None
            reply = await self._step(arrival)
        except Exception as error:
            return self._refused(arrival, error)
        if self._hold.outage_is_over_long:
            return reply, StoreUnavailable("for too long")
        return reply, None

    async def _step(self, arrival: Arrival) -> Body | None:
        """Step the session; one that the store has lost is stepped again, from its new start."""
        started, kept = time.perf_counter(), Kept.CHANGED
        if arrival.reset:
            self._hold.reset()
        while kept is Kept.CHANGED:
            step = await self.subject.step(arrival, self._hold.state)
            stepped = time.perf_counter()
            kept = await self._hold.keep(step.state)
        outputs = step.outputs
        outputs.timings_ms["wait"] = (started - arrival.arrived_s) * 1000
        outputs.timings_ms["store"] = (time.perf_counter() - stepped) * 1000
        # Sound has no reply: what is to be told waits for the next frame.
        if arrival.is_frame:
            if self._hold.take_reset():
                outputs.status = RESET
            outputs.notes.extend([*arrival.notes, *self._hold.take_notes()])
            self._count(outputs.status)
        self._metrics.observe_stages(self.subject.model, outputs.timings_ms)
        self.subject.measure(outputs, self._metrics)
        if arrival.kind is Kind.SOUND:
            return None
        place = Place(self._hold.step, stored=kept is Kept.STORED)
        return self.subject.reply(arrival, outputs, place)

    def _refused(self, arrival: Arrival, error: Exception) -> tuple[Body, ServiceError | None]:
        known = as_service_error(error)
        if known.problem is Problem.INTERNAL:
            logger.error("frame failed", exc_info=error, extra=fields(model=self.subject.model))
        if arrival.sequence is not None:
            self._count(ERROR)
        taken = known.problem is Problem.SESSION_TAKEN
        if taken:
            self._metrics.sessions.labels(self.subject.model, "taken").inc()
        return self.subject.refused(arrival, known), known if taken else None

    def _count(self, status: str) -> None:
        self._metrics.frames.labels(self.subject.model, status).inc()
        if status == RESET:
            self._metrics.sessions.labels(self.subject.model, RESET).inc()
