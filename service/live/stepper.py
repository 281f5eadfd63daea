"""Steps of a session: those that a socket's messages ask for, and one for a client without."""

import logging
import time
from typing import Any, Generic

from service.errors import Problem, ServiceError
from service.http.problems import as_service_error
from service.live.hold import Hold, Kept
from service.live.mailbox import Arrival, Kind
from service.live.messages import DROPPED, ERROR, RESET
from service.live.subject import Place, Said, Subject
from service.schemas import Body
from service.sessions import Address, Outcome, Session, SessionStore, StoreUnavailable, new_epoch
from service.telemetry import Metrics, fields

logger = logging.getLogger(__name__)
ATTEMPTS = 3


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
        if arrival.is_frame:
            if self._hold.take_reset():
                outputs.status = RESET
            outputs.notes.extend(self._hold.take_notes())
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


async def step_once(
    store: SessionStore,
    address: Address,
    subject: Subject[Said, Any],
    arrival: Arrival,
    expected: int | None,
) -> bytes:
    """Step the session by what has arrived, as its step `expected`; return the reply as JSON.

    A step that is the session's last one already is not made again: its reply is returned as it
    was. A session that the store has lost starts anew and its reply's status is `reset`. Raises
    ServiceError: wrong-step, naming the one the session is at; session-taken when another
    connection was faster and the client did not say which step it expects.
    """
    lost, notes = False, list[str]()
    for _ in range(ATTEMPTS):
        found = await store.load(address)
        if found is not None and found.damage is not None:
            lost, notes = True, [f"the session starts anew: {found.damage}"]
            found = None
        if found is not None and (repeated := _find_reply(found, expected)) is not None:
            return repeated
        lost = lost or (found is None and (expected or 1) > 1)
        state, number = (None, 1) if found is None else (found.state, found.step + 1)
        step = await subject.step(arrival, state)
        step.outputs.notes[:0] = arrival.notes
        if lost:
            step.outputs.status = RESET
            step.outputs.notes.extend(notes)
        reply = subject.reply(arrival, step.outputs, Place(number)).model_dump_json().encode()
        new = Session(new_epoch(), number, step.state, reply)
        outcome = await _commit(store, address, found, new)
        if outcome is Outcome.STORED:
            return reply
        if outcome is Outcome.CONFLICT and expected is None:
            break
        lost = lost or outcome is Outcome.MISSING
    raise ServiceError(
        Problem.SESSION_TAKEN, "another connection has stepped the session meanwhile"
    )


async def _commit(
    store: SessionStore, address: Address, known: Session | None, new: Session
) -> Outcome:
    """Write the step; a session begins by a connection, after a frame that could be looked at."""
    if known is None:
        known = await store.connect(address, new_epoch())
        if known.step > 0:
            return Outcome.CONFLICT
    return await store.commit(address, known.epoch, known.step, new)


def _find_reply(session: Session, expected: int | None) -> bytes | None:
    """Return the reply of the expected step where it is the last one made, None where it is next.

    Raises ServiceError for any other step.
    """
    if expected is None or expected == session.step + 1:
        return None
    if expected == session.step and session.reply is not None:
        return session.reply
    raise ServiceError(
        Problem.WRONG_STEP,
        f"the session is at step {session.step}, so the next one is {session.step + 1}; "
        f"{expected} came",
        extensions={"step": session.step},
    )
