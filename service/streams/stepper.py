"""What a message of a live session is answered: a step, word of a newer frame, or a mistake."""

import logging
import time

from service.errors import Problem, ServiceError
from service.logs import fields
from service.metrics import Metrics
from service.problems import as_service_error
from service.schemas import Body
from service.sessions import StoreUnavailable
from service.streams.hold import Hold, Kept
from service.streams.mailbox import Arrival
from service.streams.replies import (
    DROPPED,
    ERROR,
    RESET,
    DroppedReply,
    TrackReply,
    build_reply,
    error_reply,
)
from service.streams.tracker import MODEL, SocketOptions, Tracker

logger = logging.getLogger(__name__)


class Stepper:
    """Steps the session that a socket holds; `options` may change until its first frame."""

    def __init__(
        self, hold: Hold, tracker: Tracker, options: SocketOptions, metrics: Metrics
    ) -> None:
        self.options = options
        self._hold = hold
        self._tracker = tracker
        self._metrics = metrics

    def check_size(self, size: int) -> None:
        """Raise ServiceError for a frame of too many bytes."""
        self._tracker.check_size(size)

    async def answer(self, arrival: Arrival) -> tuple[Body, ServiceError | None]:
        """Return the reply, and where it is the last one the reason; never raises."""
        try:
            if arrival.error is not None:
                raise arrival.error
            if arrival.dropped:
                return self._dropped(arrival), None
            reply = await self._step(arrival)
        except Exception as error:
            return self._refused(arrival, error)
        self._count(reply.status)
        if self._hold.outage_is_over_long:
            return reply, StoreUnavailable("for too long")
        return reply, None

    async def _step(self, arrival: Arrival) -> TrackReply:
        """Step the session; one that the store has lost is stepped again, from its new start."""
        started = time.perf_counter()
        if arrival.reset:
            self._hold.reset()
        time_s, kept = arrival.time_s or 0.0, Kept.LOST
        while kept is Kept.LOST:
            step = await self._tracker.step(arrival.data, time_s, self.options, self._hold.state)
            stepped = time.perf_counter()
            kept = await self._hold.keep(step.state)
        outputs = step.outputs
        if self._hold.take_reset():
            outputs.status = RESET
        outputs.timings_ms["wait"] = (started - arrival.arrived_s) * 1000
        outputs.timings_ms["store"] = (time.perf_counter() - stepped) * 1000
        self._metrics.observe_stages(MODEL, outputs.timings_ms)
        return build_reply(
            outputs,
            sequence=arrival.sequence,
            time_s=time_s,
            step=self._hold.step,
            stored=kept is Kept.STORED,
        )

    def _dropped(self, arrival: Arrival) -> DroppedReply:
        self._count(DROPPED)
        return DroppedReply(sequence=arrival.sequence or 0, time_s=arrival.time_s or 0.0)

    def _refused(self, arrival: Arrival, error: Exception) -> tuple[Body, ServiceError | None]:
        known = as_service_error(error)
        if known.problem is Problem.INTERNAL:
            logger.error("frame failed", exc_info=error, extra=fields(model=MODEL))
        if arrival.sequence is not None:
            self._count(ERROR)
        taken = known.problem is Problem.SESSION_TAKEN
        if taken:
            self._metrics.sessions.labels(MODEL, "taken").inc()
        return error_reply(arrival.sequence, arrival.time_s, known), known if taken else None

    def _count(self, status: str) -> None:
        self._metrics.frames.labels(MODEL, status).inc()
        if status == RESET:
            self._metrics.sessions.labels(MODEL, RESET).inc()
