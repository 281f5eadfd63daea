"""An affect session's memory between two moments <-> a flat dict of named small tensors."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers.predictors.affect.estimator import Sound
from handlers.predictors.affect.speech import SpeechStream
from handlers.predictors.tracking.state import Memory, SessionState
from handlers.processing.audio_descriptors import PcmStream
from handlers.processing.mel_stream import MelStream

Array = NDArray[Any]

# Counts changes in the meaning of the tensors below; the tracker's are part of them.
SCHEMA = 4

TRACKER, LANE = "tracker.", "lane"


@dataclass(frozen=True)
class Lane:
    """The memory of one face, or of a moment as a whole.

    `memory` holds the estimator's tensors without their axis of rows, floats of half precision:
    what `halve` has made of them. `time_s` is that of the last moment that could be used, `times_s`
    are those of the states that attention holds.
    """

    memory: Memory
    time_s: float
    times_s: tuple[float, ...] = ()


@dataclass(frozen=True)
class AffectState:
    """A session after `step` moments, the last of them at `time_s`.

    `sound` is what was heard, `speech` where somebody spoke, `tracker` the face tracker's state.
    `lanes` are numbered as the faces are where several are followed; what is of no such face is 0.
    """

    sound: Sound
    speech: SpeechStream = field(default_factory=SpeechStream)
    step: int = 0
    time_s: float = -math.inf
    tracker: SessionState | None = None
    lanes: Mapping[int, Lane] = field(default_factory=dict)

    def to_tensors(self) -> dict[str, Array]:
        """Return all of the state but `step`, at most 160 KiB."""
        tensors = {
            "time_s": _seconds(self.time_s),
            **self.sound.to_tensors(),
            **self.speech.to_tensors(),
        }
        if self.tracker is not None:
            tensors[f"{TRACKER}step"] = np.array([self.tracker.step])
            named = self.tracker.to_tensors().items()
            tensors |= {f"{TRACKER}{name}": tensor for name, tensor in named}
        for number, lane in self.lanes.items():
            tensors[f"{LANE}{number}.times_s"] = _seconds(lane.time_s, *lane.times_s)
            tensors |= {f"{LANE}{number}.{name}": one for name, one in lane.memory.items()}
        return tensors

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Array], step: int) -> "AffectState":
        """Read what `to_tensors` gave; raises KeyError or ValueError for other tensors."""
        time_s = float(tensors["time_s"].item())
        heard: type[MelStream] | type[PcmStream] = PcmStream if "pcm_end" in tensors else MelStream
        tracker, followed = None, _below(TRACKER, tensors)
        if followed:
            tracker = SessionState.from_tensors(followed, int(followed.pop("step").item()))
        sound, speech = heard.from_tensors(tensors), SpeechStream.from_tensors(tensors)
        return cls(sound, speech, step, time_s, tracker, _lanes(tensors))


def halve(memory: Mapping[str, Array]) -> Memory:
    """Round floats to half precision, as they are stored.

    The next step starts from the rounded ones wherever it is taken, so that replicas agree.
    """
    return {
        name: tensor.astype(np.float16) if tensor.dtype.kind == "f" else tensor
        for name, tensor in memory.items()
    }


def _seconds(*values: float) -> Array:
    return np.array(values, np.float64)


def _lanes(tensors: Mapping[str, Array]) -> dict[int, Lane]:
    lanes = {}
    for name in tensors:
        if name.startswith(LANE) and name.endswith(".times_s"):
            prefix = name.removesuffix("times_s")
            memory = _below(prefix, tensors)
            time_s, *times_s = memory.pop("times_s").tolist()
            lanes[int(prefix[len(LANE) : -1])] = Lane(memory, time_s, tuple(times_s))
    return lanes


def _below(prefix: str, tensors: Mapping[str, Array]) -> dict[str, Array]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
