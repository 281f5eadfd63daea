"""The model `affect` as its routes ask it, and a socket's talk with it, frames and sound."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from service.affect.replies import AffectFrame, AffectOutputs, AffectReply, HeardReply
from service.affect.sounds import (
    TOLERANCE_S,
    Hearing,
    SoundQueue,
    StreamClock,
    kind_of,
    read_sound,
    split_message,
    to_samples,
)
from service.errors import Problem, ServiceError
from service.live.messages import RESET, Arrival, Kind
from service.live.model import Cost, Model, Place, Step, Subject, VariantName
from service.media.clips.contents import AHEAD_S, SAMPLE_BYTES, Sound
from service.options import (
    AFFECT_MAX_FACES,
    AFFECT_SMOOTHING_S,
    AFFECT_VARIANT,
    DELAY_S,
    DROP,
    MIN_FACE_PX,
    MIN_QUALITY,
)
from service.services import Services
from service.telemetry import Metrics

MODEL = "affect"
LOST = "lost"
VOICE = "voice"
Delay = Annotated[float, DELAY_S.bounds, Field(allow_inf_nan=False)]
Frame = bytes | Mapping[str, Any] | None
ROUNDING_S = 1e-3  # times are sent as decimal numbers
FEED_S = 2 * TOLERANCE_S  # sound that waits for longer is heard without a frame


class AffectOptions(BaseModel):
    """The options of an estimate; names that are not listed here are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    variant: Annotated[VariantName | None, AFFECT_VARIANT.bounds] = None
    min_face_px: Annotated[int, MIN_FACE_PX.bounds] = MIN_FACE_PX.default
    min_quality: Annotated[float, MIN_QUALITY.bounds] = MIN_QUALITY.default
    max_faces: Annotated[int, AFFECT_MAX_FACES.bounds] = AFFECT_MAX_FACES.default
    smoothing_s: Annotated[float, AFFECT_SMOOTHING_S.bounds, Field(allow_inf_nan=False)] = (
        AFFECT_SMOOTHING_S.default
    )


class AffectSocketOptions(AffectOptions):
    """The options of a socket, in its address or in a text message before the first frame."""

    delay_s: Delay = Field(
        default=0.0,
        description="How much later a frame is estimated, in seconds of the stream, with the sound "
        "that was heard until then. Replies wait for it: they are not to be waited for.",
    )
    drop: Annotated[bool, DROP.bounds] = DROP.default


class AffectModel(Model):
    """Asks the model `affect`, within the limits of the settings."""

    def __init__(self, services: Services) -> None:
        super().__init__(MODEL, services)

    async def step(
        self,
        frames: Sequence[Frame],
        times_s: Sequence[float],
        sound: Sound | None,
        options: AffectOptions,
        state: bytes | None,
        pixels: Sequence[int] = (),
    ) -> Step[AffectOutputs]:
        """Estimate up to 8 moments, one an entry of `frames`; raises ServiceError.

        A frame is an encoded picture, an array as the wire has it, or None for no picture at that
        time. The sound, if any, is heard before the first moment is estimated. `pixels` are those
        of the pictures.
        """
        inputs = {
            "frames": list(frames),
            "times_s": list(times_s),
            "sound": None if sound is None else _on_the_wire(sound),
        }
        cost = Cost.of_pictures(pixels, options.min_face_px)
        answer = await self.ask(inputs, self.options(options), state, cost)
        outputs = AffectOutputs.model_validate(answer.outputs)
        if len(outputs.frames) != len(frames):
            raise ServiceError(Problem.INTERNAL, "the model did not answer every frame")
        return Step(outputs, answer.state)

    def options(self, options: AffectOptions) -> dict[str, Any]:
        """Return the options of a question."""
        # Steps and sockets have more options, of which the model knows nothing.
        asked = options.model_dump(include=set(AffectOptions.model_fields), exclude_none=True)
        return {**asked, "max_pixels": self.settings.max_frame_pixels}


def _on_the_wire(sound: Sound) -> dict[str, Any]:
    pcm = {"dtype": "int16", "shape": [len(sound.pcm) // SAMPLE_BYTES], "data": sound.pcm}
    return {"start": sound.start, "pcm": pcm}


def measure_frames(frames: Sequence[AffectFrame], metrics: Metrics) -> None:
    """Record the gates, the faces that are out of sight, and where the voice was used."""
    for frame in frames:
        if frame.gate is not None:
            metrics.gate.labels(MODEL).observe(frame.gate)
        metrics.voice.labels(MODEL).inc(VOICE in frame.used)
        metrics.faces_lost.labels(MODEL).inc(frame.face is not None and frame.face.status == LOST)


@dataclass
class MomentArrival(Arrival):
    """An arrival with the sound of its session that waits, and what it has taken of it."""

    sounds: SoundQueue = field(default_factory=SoundQueue)
    hearing: Hearing | None = None


class AffectSubject(Subject[AffectOutputs, AffectOptions]):
    """A session of affect: frames have their replies, sound waits for the next step."""

    model = MODEL

    def __init__(self, model: AffectModel, options: AffectOptions) -> None:
        super().__init__(model, options)
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
            # Sound that cannot be used would be refused with the next step, too.
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
        # Checked as it came from the model; a second time would cost every frame.
        return AffectReply.model_construct(**dict(frame), **common, sequence=arrival.sequence)

    def measure(self, outputs: AffectOutputs, metrics: Metrics) -> None:
        """Record gates, lost faces and voices."""
        measure_frames(outputs.frames, metrics)


def _as_moment(arrival: Arrival) -> MomentArrival:
    """Return an arrival as what it is: every one that is stepped was made by `read`."""
    assert isinstance(arrival, MomentArrival)
    return arrival
