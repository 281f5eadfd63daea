"""What a message of a live session is answered: a step, word of a newer frame, or a mistake."""

import logging
import time
from typing import Generic

from service.errors import Problem, ServiceError
from service.http.problems import as_service_error
from service.live.hold import Hold, Kept
from service.live.mailbox import Arrival
from service.live.replies import DROPPED, ERROR, RESET
from service.live.subject import Place, Said, Subject
from service.schemas import Body
from service.sessions import StoreUnavailable
from service.telemetry.logs import fields
from service.telemetry.metrics import Metrics

logger = logging.getLogger(__name__)


class Stepper(Generic[Said]):
    """Steps the session that a socket holds, whatever its subject is."""

    def __init__(self, hold: Hold, subject: Subject[Said], metrics: Metrics) -> None:
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
        return self.subject.reply(
            arrival, outputs, Place(self._hold.step, stored=kept is Kept.STORED)
        )

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
