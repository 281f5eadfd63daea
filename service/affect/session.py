"""A socket's talk with `affect`: frames have their replies, sound waits for the next step."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from service.affect.model import (
    MODEL,
    AffectModel,
    AffectOptions,
    AffectSocketOptions,
    Frame,
    measure_frames,
    parse_affect_options,
)
from service.affect.replies import (
    AffectOutputs,
    AffectReply,
    HeardReply,
)
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
from service.live.mailbox import Arrival, Kind
from service.live.messages import RESET, DroppedReply, ErrorReply, dropped_reply, error_reply
from service.live.subject import Place, Step
from service.media.clips.contents import AHEAD_S
from service.schemas import Body
from service.telemetry import Metrics

ROUNDING_S = 1e-3
FEED_S = 2 * TOLERANCE_S  # sound that waits for longer is heard without a frame


@dataclass(frozen=True)
class AffectChunk:
    """A moment, sound, or both, without a socket; `time_s` None is sound alone."""

    model: AffectModel
    frame: bytes | None
    time_s: float | None
    sound: Sound | None
    options: AffectOptions
    step: int | None = None
    arrived_s: float = field(default_factory=time.perf_counter)

    async def make(self, state: bytes | None) -> Step[AffectOutputs]:
        """Hear and look; raises ServiceError."""
        pixels = [] if self.frame is None else [await self.model.check_frame(self.frame)]
        times_s = [] if self.time_s is None else [self.time_s]
        frames: list[Frame] = [self.frame] * len(times_s)
        runs = () if self.sound is None else (self.sound,)
        return await hear_and_see(self.model, frames, times_s, runs, self.options, state, pixels)

    def reply(self, outputs: AffectOutputs, place: Place) -> AffectReply | HeardReply:
        """Return the reply to the chunk."""
        return build_affect_reply(outputs, None, place, self.arrived_s)


async def hear_and_see(
    model: AffectModel,
    frames: list[Frame],
    times_s: list[float],
    runs: tuple[Sound, ...],
    options: AffectOptions,
    state: bytes | None,
    pixels: Sequence[int],
) -> Step[AffectOutputs]:
    """Ask for one step: runs of sound with gaps in between are heard one question after another."""
    notes: list[str] = []
    reset = False
    for run in runs[:-1]:
        heard = await model.step([], [], run, options, state)
        state, notes = heard.state, notes + heard.outputs.notes
        reset = reset or heard.outputs.status == RESET
    step = await model.step(frames, times_s, runs[-1] if runs else None, options, state, pixels)
    step.outputs.notes[:0] = notes
    if reset:
        step.outputs.status = RESET
    return step


def build_affect_reply(
    outputs: AffectOutputs, sequence: int | None, place: Place, arrived_s: float
) -> AffectReply | HeardReply:
    """Return the reply that says `outputs`, which have been checked, and where they belong."""
    common = {
        **{name: getattr(outputs, name) for name in ("model", "variant", "status", "notes")},
        "timings_ms": outputs.timings_ms,
        "step": place.step,
        "stored": place.stored,
        "milliseconds": round((time.perf_counter() - arrived_s) * 1000, 3),
    }
    if not outputs.frames:
        return HeardReply.model_construct(**common)
    (frame,) = outputs.frames
    return AffectReply.model_construct(**dict(frame), **common, sequence=sequence)


@dataclass
class MomentArrival(Arrival):
    """An arrival with the sound of its session that waits, and what it has taken of it."""

    sounds: SoundQueue = field(default_factory=SoundQueue)
    hearing: Hearing | None = None


class AffectSubject:
    """The subject of an affect socket; `options` may change until its first frame."""

    model = MODEL

    def __init__(self, model: AffectModel, options: AffectSocketOptions) -> None:
        self.options = options
        self._model = model
        self.restart()

    @property
    def drop(self) -> bool:
        """Whether a newer frame replaces one that still waits."""
        return self.options.drop

    @property
    def due_s(self) -> float:
        """Frames wait until frames or sound of `delay_s` later have come."""
        delay_s = self.options.delay_s
        return self._clock.come_s + ROUNDING_S - delay_s if delay_s else math.inf

    def set_options(self, asked: Mapping[str, Any]) -> None:
        """Change the options that are named; raises ServiceError."""
        self.options = parse_affect_options({**self.options.model_dump(), **asked})

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
        """How far a moment hears; sound alone leaves what frames may still come for."""
        if moment.kind is Kind.FRAME:
            return to_samples((moment.time_s or 0.0) + AHEAD_S)
        self._feeding = False
        return moment.sounds.end - to_samples(TOLERANCE_S)

    async def _ask(
        self, moment: MomentArrival, runs: tuple[Sound, ...], state: bytes | None
    ) -> Step[AffectOutputs]:
        frames: list[Frame] = []
        pixels: list[int] = []
        if moment.kind is Kind.FRAME:
            frames = [moment.data or None]
            if moment.data:
                pixels = [await self._model.check_frame(moment.data)]
        times_s = [moment.time_s or 0.0] * len(frames)
        return await hear_and_see(self._model, frames, times_s, runs, self.options, state, pixels)

    def reply(self, arrival: Arrival, outputs: AffectOutputs, place: Place) -> Body | None:
        """Return the reply to a frame; sound has none."""
        moment = _as_moment(arrival)
        if moment.kind is Kind.SOUND:
            return None
        if moment.sounds.lost_s:
            outputs.notes.append(
                f"{moment.sounds.lost_s:.2f} s of sound waited too long and were not heard"
            )
            moment.sounds.lost_s = 0.0
        return build_affect_reply(outputs, moment.sequence, place, moment.arrived_s)

    def dropped(self, arrival: Arrival) -> DroppedReply:
        """Return the reply to a frame that a newer one replaced."""
        return dropped_reply(arrival)

    def refused(self, arrival: Arrival, error: ServiceError) -> ErrorReply:
        """Return the reply to a message that could not be used."""
        return error_reply(arrival, error)

    def measure(self, outputs: AffectOutputs, metrics: Metrics) -> None:
        """Record gates, lost faces and voices."""
        measure_frames(outputs.frames, metrics)


def _as_moment(arrival: Arrival) -> MomentArrival:
    """Every arrival that is stepped was made by `read`."""
    assert isinstance(arrival, MomentArrival)
    return arrival
