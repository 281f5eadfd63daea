"""A socket's talk with `track`: every binary message is a frame, every frame has its reply."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict

from service.errors import ServiceError
from service.inference import Inference
from service.live.mailbox import Arrival
from service.live.messages import DroppedReply, ErrorReply, dropped_reply, error_reply, split_frame
from service.live.model import Cost, Model, VariantName, parse_into
from service.live.subject import Place, Step
from service.options import (
    DROP,
    MIN_FACE_PX,
    MIN_QUALITY,
    SMOOTHING,
    STEADY,
    TRACK_MAX_FACES,
    TRACK_VARIANT,
)
from service.settings import Settings
from service.telemetry import Metrics
from service.track.replies import TrackOutputs, TrackReply, build_reply

MODEL = "track"
LOST = "lost"


class TrackOptions(BaseModel):
    """How a session's frames are treated; names that are not listed here are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_faces: Annotated[int, TRACK_MAX_FACES.bounds] = TRACK_MAX_FACES.default
    min_face_px: Annotated[int, MIN_FACE_PX.bounds] = MIN_FACE_PX.default
    min_quality: Annotated[float, MIN_QUALITY.bounds] = MIN_QUALITY.default
    steady: Annotated[bool, STEADY.bounds] = STEADY.default
    smoothing: Annotated[bool, SMOOTHING.bounds] = SMOOTHING.default
    variant: Annotated[VariantName | None, TRACK_VARIANT.bounds] = None


class SocketOptions(TrackOptions):
    """The options of a socket, in its address or in a text message before the first frame."""

    drop: Annotated[bool, DROP.bounds] = DROP.default


def parse_options(values: Mapping[str, Any]) -> SocketOptions:
    """Check a socket's options; raises ServiceError naming every one that does not fit."""
    return parse_into(SocketOptions, values)


class Tracker(Model):
    """Asks the model `track`, within the limits of the settings."""

    def __init__(self, inference: Inference, settings: Settings) -> None:
        super().__init__(MODEL, inference, settings)

    async def step(
        self, frame: bytes, time_s: float, options: TrackOptions, state: bytes | None
    ) -> Step[TrackOutputs]:
        """Look at one encoded frame; raises ServiceError when it or its model is no good."""
        pixels = await self.check_frame(frame)
        return await self.look(frame, pixels, time_s, options, state)

    async def look(
        self,
        image: bytes | Mapping[str, Any],
        pixels: int,
        time_s: float,
        options: TrackOptions,
        state: bytes | None,
    ) -> Step[TrackOutputs]:
        """Look at a frame of so many pixels, encoded or as an array on the wire."""
        inputs = {"image": image, "time_s": time_s}
        cost = Cost.of_pictures([pixels], options.min_face_px)
        answer = await self.ask(inputs, self._options(options), state, cost)
        return Step(TrackOutputs.model_validate(answer.outputs), answer.state)

    def _options(self, options: TrackOptions) -> dict[str, Any]:
        asked = {
            "max_faces": options.max_faces,
            "min_face_px": options.min_face_px,
            "min_quality": options.min_quality,
            "steady": options.steady,
            "smoothing": options.smoothing,
            "max_pixels": self.settings.max_frame_pixels,
        }
        return asked if options.variant is None else {**asked, "variant": options.variant}


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
        return dropped_reply(arrival)

    def refused(self, arrival: Arrival, error: ServiceError) -> ErrorReply:
        """Return the reply to a message that could not be used."""
        return error_reply(arrival, error)

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
