"""A socket's talk with `track`: every binary message is a frame, every frame has its reply."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.errors import ServiceError
from service.live.mailbox import Arrival
from service.live.messages import split_frame
from service.live.replies import DroppedReply, ErrorReply, error_reply
from service.live.subject import Place, Step
from service.telemetry.metrics import Metrics
from service.track.replies import TrackOutputs, TrackReply, build_reply
from service.track.tracker import MODEL, SocketOptions, Tracker, TrackOptions, parse_options

LOST = "lost"


class TrackSubject:
    """The subject of a tracking socket; `options` may change until its first frame."""

    model = MODEL

    def __init__(self, tracker: Tracker, options: SocketOptions) -> None:
        self.options = options
        self._tracker = tracker

    @property
    def drop(self) -> bool:
        """Whether a newer frame replaces one that still waits."""
        return self.options.drop

    @property
    def due_s(self) -> float:
        """Nothing is waited for."""
        return math.inf

    def set_options(self, asked: Mapping[str, Any]) -> None:
        """Change the options that are named; raises ServiceError."""
        self.options = parse_options({**self.options.model_dump(), **asked})

    def read(self, message: bytes, arrived_s: float, now_s: float) -> Arrival:
        """Take one frame, bare or behind its header."""
        arrival = Arrival(None, arrived_s, now_s)
        try:
            self._tracker.check_size(len(message))
            arrival.time_s, arrival.data = split_frame(message, now_s)
        except ServiceError as error:
            arrival.error = error
        return arrival

    def restart(self) -> None:
        """Nothing is kept here."""

    async def step(self, arrival: Arrival, state: bytes | None) -> Step[TrackOutputs]:
        """Look at the frame; raises ServiceError."""
        return await self._tracker.step(arrival.data, arrival.time_s or 0.0, self.options, state)

    def reply(self, arrival: Arrival, outputs: TrackOutputs, place: Place) -> TrackReply:
        """Return the reply to a frame that was looked at."""
        return build_reply(outputs, arrival.sequence, arrival.time_s or 0.0, place)

    def dropped(self, arrival: Arrival) -> DroppedReply:
        """Return the reply to a frame that a newer one replaced."""
        return DroppedReply(sequence=arrival.sequence or 0, time_s=arrival.time_s or 0.0)

    def refused(self, arrival: Arrival, error: ServiceError) -> ErrorReply:
        """Return the reply to a message that could not be used."""
        return error_reply(arrival.sequence, arrival.time_s, error)

    def measure(self, outputs: TrackOutputs, metrics: Metrics) -> None:
        """Count the faces that are out of sight."""
        lost = sum(face.status == LOST for face in outputs.faces)
        metrics.faces_lost.labels(MODEL).inc(lost)


@dataclass(frozen=True)
class TrackChunk:
    """One frame without a socket, and the number that its step is to have, if the client says."""

    tracker: Tracker
    frame: bytes
    time_s: float
    options: TrackOptions
    step: int | None = None

    async def make(self, state: bytes | None) -> Step[TrackOutputs]:
        """Look at the frame; raises ServiceError."""
        return await self.tracker.step(self.frame, self.time_s, self.options, state)

    def reply(self, outputs: TrackOutputs, place: Place) -> TrackReply:
        """Return the reply to the frame."""
        return build_reply(outputs, None, self.time_s, place)
