"""One step of an affect session, by a socket or without one, into its reply."""

import time
from dataclasses import dataclass, field

from service.affect.model import AffectModel, AffectOptions, Frame
from service.affect.replies import AffectOutputs, AffectReply, HeardReply
from service.affect.sounds import Sound
from service.live.replies import RESET
from service.live.subject import Place, Step


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
        if self.frame is not None:
            await self.model.check_frame(self.frame)
        times_s = [] if self.time_s is None else [self.time_s]
        frames: list[Frame] = [self.frame] * len(times_s)
        runs = () if self.sound is None else (self.sound,)
        return await hear_and_see(self.model, frames, times_s, runs, self.options, state)

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
) -> Step[AffectOutputs]:
    """Ask for one step: runs of sound with gaps in between are heard one question after another."""
    notes: list[str] = []
    reset = False
    for run in runs[:-1]:
        heard = await model.step([], [], run, options, state)
        state, notes = heard.state, notes + heard.outputs.notes
        reset = reset or heard.outputs.status == RESET
    step = await model.step(frames, times_s, runs[-1] if runs else None, options, state)
    step.outputs.notes[:0] = notes
    if reset:
        step.outputs.status = RESET
    return step


def build_affect_reply(
    outputs: AffectOutputs, seq: int | None, place: Place, arrived_s: float
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
    return AffectReply.model_construct(**dict(frame), **common, seq=seq)
