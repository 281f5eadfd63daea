"""What an affect session remembers between two moments <-> a flat dict of named small tensors."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from handlers.predictors.affect.inputs import Sound
from handlers.predictors.affect.speech import SpeechStream
from handlers.predictors.tracking.state import Memory, SessionState
from handlers.processing.audio_descriptors import PcmStream
from handlers.processing.mel_stream import MelStream

# Counts changes in the meaning of the tensors below; the tracker's are part of them.
SCHEMA = 2

TRACKER, MEMORY = "tracker.", "memory."


@dataclass(frozen=True)
class AffectState:
    """A session after `step` moments, the last of them at `time_s`.

    `sound` is what was heard, `speech` where somebody spoke, `tracker` the face tracker's state.
    `memory` holds C's tensors without their axis of rows, floats of half precision: what `halve`
    has made of them; None before the first moment that could be used. `times_s` are those of the
    states that attention holds.
    """

    sound: Sound
    speech: SpeechStream = field(default_factory=SpeechStream)
    step: int = 0
    time_s: float = -math.inf
    tracker: SessionState | None = None
    memory: Memory | None = None
    times_s: tuple[float, ...] = ()

    def to_tensors(self) -> dict[str, Tensor]:
        """All of the state but `step`, at most 160 KiB."""
        times = torch.tensor([self.time_s, *self.times_s], dtype=torch.float64)
        tensors = {"times_s": times, **self.sound.to_tensors(), **self.speech.to_tensors()}
        if self.tracker is not None:
            tensors[f"{TRACKER}step"] = torch.tensor([self.tracker.step])
            named = self.tracker.to_tensors().items()
            tensors |= {f"{TRACKER}{name}": tensor for name, tensor in named}
        return tensors | {f"{MEMORY}{name}": one for name, one in (self.memory or {}).items()}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], step: int) -> "AffectState":
        """The way back; raises KeyError or ValueError for tensors of another making."""
        time_s, *times_s = tensors["times_s"].tolist()
        heard: type[MelStream] | type[PcmStream] = PcmStream if "pcm_end" in tensors else MelStream
        tracker, followed = None, _below(TRACKER, tensors)
        if followed:
            tracker = SessionState.from_tensors(followed, int(followed.pop("step").item()))
        memory = _below(MEMORY, tensors) or None
        sound, speech = heard.from_tensors(tensors), SpeechStream.from_tensors(tensors)
        return cls(sound, speech, step, time_s, tracker, memory, tuple(times_s))


def halve(memory: Mapping[str, Tensor]) -> Memory:
    """Floats in half precision, as they are stored; the next step starts from nothing better."""
    return {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in memory.items()
    }


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
