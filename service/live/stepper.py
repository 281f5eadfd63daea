"""Steps of a session: the part that its model decides, those of a socket, one without a socket."""

import logging
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from pydantic import BaseModel

from service.errors import Problem, ServiceError
from service.http.problems import as_service_error
from service.live.hold import Hold, Kept
from service.live.mailbox import Arrival, Kind
from service.live.messages import DROPPED, ERROR, RESET, DroppedReply, ErrorReply, error_info
from service.live.model import parse_into
from service.schemas import Body
from service.sessions import Address, Outcome, Session, SessionStore, StoreUnavailable, new_epoch
from service.telemetry import Metrics, fields

logger = logging.getLogger(__name__)
ATTEMPTS = 3  # to store a step beside other connections before they win
Given = TypeVar("Given", bound=BaseModel)


class Outputs(Protocol):
    """The fields of a model's answer that every session needs."""

    status: Any
    notes: list[str]
    timings_ms: dict[str, float]


Said = TypeVar("Said", bound=Outputs)


@dataclass(frozen=True)
class Step(Generic[Said]):
    """One step: the model's answer, and the state to go on from."""

    outputs: Said
    state: bytes | None


@dataclass(frozen=True)
class Place:
    """A step's number in the session, and whether the store has it."""

    step: int
    stored: bool = True


class Subject(ABC, Generic[Said, Given]):
    """A session's talk with one model. It knows no store: state goes in and comes back.

    `options` of a socket may change until its first frame.
    """

    model: ClassVar[str]

    def __init__(self, options: Given) -> None:
        self.options = options

    @property
    def drop(self) -> bool:
        """Whether a newer frame replaces one that still waits; only sockets may say so."""
        return getattr(self.options, "drop", False)

    @property
    def due_s(self) -> float:
        """Up to which time of theirs frames may be answered by now."""
        return math.inf

    def set_options(self, asked: Mapping[str, Any]) -> None:
        """Change the options that are named; raises ServiceError."""
        self.options = parse_into(type(self.options), {**self.options.model_dump(), **asked})

    @abstractmethod
    def read(self, message: bytes, arrived_s: float, now_s: float) -> Arrival | None:
        """Sort one binary message; None where it needs no answer and was kept here.

        `arrived_s` is on the clock of time.perf_counter, `now_s` in Unix seconds. Never raises: a
        mistake is an arrival with its error.
        """

    def restart(self) -> None:
        """Forget what was sent: what comes now belongs to a session that starts anew."""

    @abstractmethod
    async def step(self, arrival: Arrival, state: bytes | None) -> Step[Said]:
        """Ask the model; raises ServiceError. May be asked again for the same arrival."""

    @abstractmethod
    def reply(self, arrival: Arrival, outputs: Said, place: Place) -> Body:
        """Return the answer to a step."""

    def dropped(self, arrival: Arrival) -> DroppedReply:
        """Return the answer to a frame that a newer one replaced."""
        return DroppedReply(sequence=arrival.sequence or 0, time_s=arrival.time_s or 0.0)

    def refused(self, arrival: Arrival, error: ServiceError) -> ErrorReply:
        """Return the answer to a message that could not be used."""
        return ErrorReply(
            of=arrival.kind.value,
            sequence=arrival.sequence,
            time_s=arrival.time_s,
            error=error_info(error),
        )

    @abstractmethod
    def measure(self, outputs: Said, metrics: Metrics) -> None:
        """Record what is particular to this model's answers."""


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
