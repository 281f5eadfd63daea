"""A socket's talk with `affect`: frames have their replies, sound waits for the next step."""

import math
import time
from dataclasses import dataclass, field

from service.affect.model import (
    MODEL,
    AffectModel,
    AffectOptions,
    AffectSocketOptions,
    Frame,
    measure_frames,
)
from service.affect.replies import AffectOutputs, AffectReply, HeardReply
from service.affect.sounds import (
    TOLERANCE_S,
    Hearing,
    Sound,
    SoundQueue,
    StreamClock,
    kind_of,
    read_sound,
    split_message,
    to_samples,
)
from service.errors import Problem, ServiceError
from service.live.messages import RESET, Arrival, Kind
from service.live.model import Place, Step, Subject
from service.media.clips.contents import AHEAD_S
from service.telemetry import Metrics

ROUNDING_S = 1e-3  # times are sent as decimal numbers
FEED_S = 2 * TOLERANCE_S  # sound that waits for longer is heard without a frame


@dataclass
class MomentArrival(Arrival):
    """An arrival with the sound of its session that waits, and what it has taken of it."""

    sounds: SoundQueue = field(default_factory=SoundQueue)
    hearing: Hearing | None = None


class AffectSubject(Subject[AffectOutputs, AffectOptions]):
    """A session of affect: frames have their replies, sound waits for the next step."""

    model = MODEL

    def __init__(self, model: AffectModel, options: AffectOptions) -> None:
        super().__init__(options)
        self._model = model
        self.restart()

    @property
    def due_s(self) -> float:
        """Frames wait until frames or sound of `delay_s` later have come."""
        delay_s = self.options.delay_s if isinstance(self.options, AffectSocketOptions) else 0.0
        return self._clock.come_s + ROUNDING_S - delay_s if delay_s else math.inf

    def restart(self) -> None:
        """Forget the sound that waits, and the times."""
        self._sounds = SoundQueue()
        self._clock = StreamClock()
        self._feeding = False

    def read(self, message: bytes, arrived_s: float, now_s: float) -> Arrival | None:
        """Take a frame, or keep sound for the next step."""
        moment = MomentArrival(None, arrived_s, kind=kind_of(message), sounds=self._sounds)
        try:
            self._model.check_size(len(message))
            moment.time_s, data = split_message(message)
            if moment.kind is Kind.SOUND:
                return self._hear(moment, read_sound(moment.time_s, data))
            self._clock.check_frame(moment.time_s)
            self._clock.note_frame(moment.time_s, arrived_s)
            moment.data = data
        except ServiceError as error:
            moment.error = error
        return moment

    def _hear(self, moment: MomentArrival, sound: Sound) -> MomentArrival | None:
        """Keep sound; when much of it waits for a frame, let all but the latest be heard."""
        self._clock.check_sound(sound, moment.arrived_s)
        self._clock.note_sound(sound, moment.arrived_s)
        self._sounds.put(sound)
        if self._feeding or self._sounds.held_s < FEED_S:
            return None
        self._feeding = True
        return moment

    async def step(self, arrival: Arrival, state: bytes | None) -> Step[AffectOutputs]:
        """Hear what there is, and estimate where it is a frame; raises ServiceError."""
        moment = _as_moment(arrival)
        if moment.hearing is None:
            moment.hearing = moment.sounds.take(self._until(moment))
        try:
            return await self._ask(moment, moment.hearing.runs, state)
        except BaseException as error:
            if not (isinstance(error, ServiceError) and error.problem is Problem.INVALID_SOUND):
                moment.sounds.give_back(moment.hearing)
            raise

    def _until(self, moment: MomentArrival) -> int:
        """Return the end of a moment's sound; sound alone leaves what frames may still come for."""
        if moment.kind is Kind.FRAME:
            return to_samples((moment.time_s or 0.0) + AHEAD_S)
        self._feeding = False
        return moment.sounds.end - to_samples(TOLERANCE_S)

    async def _ask(
        self, moment: MomentArrival, runs: tuple[Sound, ...], state: bytes | None
    ) -> Step[AffectOutputs]:
        """Ask for one step: runs of sound with gaps are heard one question after another."""
        pixels = [await self._model.check_frame(moment.data)] if moment.data else []
        notes: list[str] = []
        reset = False
        for run in runs[:-1]:
            heard = await self._model.step([], [], run, self.options, state)
            state, notes = heard.state, notes + heard.outputs.notes
            reset = reset or heard.outputs.status == RESET
        frames: list[Frame] = [moment.data or None] if moment.kind is Kind.FRAME else []
        times_s = [moment.time_s or 0.0] * len(frames)
        sound = runs[-1] if runs else None
        step = await self._model.step(frames, times_s, sound, self.options, state, pixels)
        step.outputs.notes[:0] = notes
        if reset:
            step.outputs.status = RESET
        return step

    def reply(
        self, arrival: Arrival, outputs: AffectOutputs, place: Place
    ) -> AffectReply | HeardReply:
        """Return the reply to a frame, or to sound alone."""
        moment = _as_moment(arrival)
        if moment.sounds.lost_s:
            outputs.notes.append(
                f"{moment.sounds.lost_s:.2f} s of sound waited too long and were not heard"
            )
            moment.sounds.lost_s = 0.0
        common = {
            **{name: getattr(outputs, name) for name in ("model", "variant", "status", "notes")},
            "timings_ms": outputs.timings_ms,
            "step": place.step,
            "stored": place.stored,
            "milliseconds": round((time.perf_counter() - arrival.arrived_s) * 1000, 3),
        }
        if not outputs.frames:
            return HeardReply.model_construct(**common)
        (frame,) = outputs.frames
        return AffectReply.model_construct(**dict(frame), **common, sequence=arrival.sequence)

    def measure(self, outputs: AffectOutputs, metrics: Metrics) -> None:
        """Record gates, lost faces and voices."""
        measure_frames(outputs.frames, metrics)


def _as_moment(arrival: Arrival) -> MomentArrival:
    """Return an arrival as what it is: every one that is stepped was made by `read`."""
    assert isinstance(arrival, MomentArrival)
    return arrival
