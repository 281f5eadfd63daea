"""The model `track` as its routes ask it, and a socket's talk with it, frame by frame."""

import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict

from service.errors import ServiceError
from service.live.messages import Arrival, split_frame
from service.live.model import Cost, Model, Place, Step, Subject, VariantName
from service.options import (
    DROP,
    MIN_FACE_PX,
    MIN_QUALITY,
    SMOOTHING,
    STEADY,
    TRACK_MAX_FACES,
    TRACK_VARIANT,
)
from service.services import Services
from service.telemetry import Metrics
from service.track.replies import TrackOutputs, TrackReply

MODEL = "track"
LOST = "lost"  # status of a face that is out of sight


class TrackOptions(BaseModel):
    """The options of a session's frames; names that are not listed here are refused."""

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


class Tracker(Model):
    """Asks the model `track`, within the limits of the settings."""

    def __init__(self, services: Services) -> None:
        super().__init__(MODEL, services)

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
        # Steps and sockets have more options, of which the model knows nothing.
        asked = options.model_dump(include=set(TrackOptions.model_fields), exclude_none=True)
        return {**asked, "max_pixels": self.settings.max_frame_pixels}


class TrackSubject(Subject[TrackOutputs, TrackOptions]):
    """A session of tracking: every frame has its reply."""

    model = MODEL

    def __init__(self, tracker: Tracker, options: TrackOptions) -> None:
        super().__init__(tracker, options)
        self._tracker = tracker
        self.restart()

    def restart(self) -> None:
        """Forget the times."""
        self._newest_s = -math.inf

    def read(self, message: bytes, arrived_s: float, now_s: float) -> Arrival:
        """Take one frame, bare or behind its header."""
        arrival = Arrival(None, arrived_s)
        try:
            self._tracker.check_size(len(message))
            arrival.time_s, arrival.data = split_frame(message, now_s)
            arrival.notes = self._notes_on(arrival.time_s)
        except ServiceError as error:
            arrival.error = error
        return arrival

    def _notes_on(self, time_s: float) -> list[str]:
        """Tell of times that go back: a face is followed all the same, by its pictures."""
        newest_s, self._newest_s = self._newest_s, time_s
        if time_s >= newest_s:
            return []
        return [
            f"times of frames go back: {time_s:g} s came after {newest_s:g} s; faces are followed "
            "all the same, but `smoothing` and the search for new faces go by times"
        ]

    async def step(self, arrival: Arrival, state: bytes | None) -> Step[TrackOutputs]:
        """Look at the frame; raises ServiceError."""
        pixels = await self._tracker.check_frame(arrival.data)
        time_s = arrival.time_s or 0.0
        return await self._tracker.look(arrival.data, pixels, time_s, self.options, state)

    def reply(self, arrival: Arrival, outputs: TrackOutputs, place: Place) -> TrackReply:
        """Return the reply to a frame that was looked at."""
        # The outputs were checked as they came: a second check would cost every frame its time.
        return TrackReply.model_construct(
            **dict(outputs),
            sequence=arrival.sequence,
            time_s=arrival.time_s or 0.0,
            step=place.step,
            stored=place.stored,
        )

    def measure(self, outputs: TrackOutputs, metrics: Metrics) -> None:
        """Count the faces that are out of sight."""
        lost = sum(face.status == LOST for face in outputs.faces)
        metrics.faces_lost.labels(MODEL).inc(lost)
