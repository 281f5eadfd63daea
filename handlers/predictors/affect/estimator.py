"""The interface of all affect models: moments to readings to answers, and a session's state."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from handlers.networks.actions import ACTIONS
from handlers.predictors.affect.speech import SpeechStream
from handlers.predictors.tracking.state import Memory, SessionState
from handlers.processing.audio_descriptors import PcmStream, descriptors, is_silent
from handlers.processing.boxes import CROP_PX, Crop
from handlers.processing.mel import REFERENCE, share_with_sound, to_network
from handlers.processing.mel_stream import MelStream
from handlers.processing.windows import upright_crop

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]
Array = NDArray[Any]
Sound = MelStream | PcmStream
Voice = Floats | Mapping[str, Floats]  # as it is heard, or encoded
MOST_DEVIATIONS = 5.0
# Networks have learned from faces turned by less; others they take for another expression.
MOST_TURNED_RAD = float(np.radians(25.0))
MAX_BATCH = 32
# Counts changes in the meaning of a state's tensors; the tracker's are part of them.
SCHEMA = 4
TRACKER, LANE = "tracker.", "lane"


@dataclass(frozen=True)
class Moment:
    """Face and sound of one moment; None is missing.

    `face` is a crop uint8 RGB `(128, 128, 3)`; `voice` what the network hears: a Mel window
    `(128, 128)` in [-1, 1], or descriptors `(50,)`, or what `Estimator.listen` has made of it;
    `actions` `(40,)` are what the face does, in the order of ACTIONS.
    """

    face: Image | None = None
    voice: Voice | None = None
    actions: Floats | None = None


def in_order(actions: Mapping[str, float] | None) -> Floats | None:
    """Order a face's actions by names as numbers `(40,)`."""
    return None if actions is None else np.array([actions[name] for name in ACTIONS], np.float32)


@dataclass(frozen=True)
class DescriptorScale:
    """Means and standard deviations `(50,)` of the descriptors in the training data."""

    mean: Floats
    std: Floats

    def apply(self, values: Floats) -> Floats:
        """Return deviations from the mean, at most five."""
        scaled = (values - self.mean) / np.maximum(self.std, 1e-6)
        return np.clip(scaled, -MOST_DEVIATIONS, MOST_DEVIATIONS).astype(np.float32)


def crop_face(image: Image, box: Floats, context: float, landmarks: Floats | None = None) -> Image:
    """Return the crop `(128, 128, 3)` of a face, `context` times as wide as its landmarks' box.

    A face whose `landmarks` `(68, 2)` are turned farther than the networks have seen faces turned
    is cut upright.
    """
    if landmarks is not None:
        turned = upright_crop(landmarks, context, CROP_PX)
        if abs(turned.angle_rad) > MOST_TURNED_RAD:
            return turned.extract(image)
    return Crop.around(box, context, CROP_PX).extract(image)


def hear_window(sound: MelStream, time_s: float, reference: float = REFERENCE) -> Floats | None:
    """Return the Mel window `(128, 128)` in [-1, 1] around a time; None where all of it is silence.

    What is not heard lies at the floor, -1. `reference` is the power of 0 dB.
    """
    power, heard = sound.window(time_s)
    return to_network(power, reference) if share_with_sound(power, heard) > 0 else None


def hear_descriptors(sound: PcmStream, time_s: float, scale: DescriptorScale) -> Floats | None:
    """Return scaled eGeMAPS descriptors `(50,)` around a time; None where nothing is heard
    there."""
    pcm = sound.around(time_s)
    return None if pcm is None or is_silent(pcm) else scale.apply(descriptors(pcm))


def windows_to_input(windows: Sequence[Floats]) -> Floats:
    """Turn Mel windows `(128, 128)` into three equal channels `(B, 3, 128, 128)` (7.3.4)."""
    return np.repeat(np.stack(windows)[:, None], 3, axis=1)


class Reading(NamedTuple):
    """One moment as C reads it, by itself: `features` `(F,)`, the mean gate, D's quadrants `(4,)`
    as probabilities, and which modalities it was read from."""

    features: Floats
    gate: float | None
    quadrants: Floats | None
    used: tuple[str, ...]


class Answer(NamedTuple):
    """Valence and arousal in [-1, 1], weights of the states held, the memory after the moment,
    shares of EXPRESSIONS, and how sure the networks are, in [0, 1].

    None, or nothing, is what the networks do not tell from what they were given.
    """

    valence: float | None
    arousal: float | None
    attention: tuple[float, ...]
    memory: Memory
    expressions: tuple[float, ...] = ()
    sure: float | None = None


class Estimator(ABC):
    """The networks of one variant; holds nothing of any session.

    `context` widens a landmark box to the crop of a face; `sees` and `hears` say whether faces and
    sound are of any use to them.
    """

    context: float
    sees: bool
    hears: bool

    @abstractmethod
    def silence(self) -> Sound:
        """Return what a session has heard at its start."""

    @abstractmethod
    def hear(self, sound: Sound, time_s: float) -> Floats | None:
        """Return the sound around a time for the network, None where nothing can be used."""

    def listen(self, voices: Sequence[Voice]) -> list[Voice]:
        """Encode what was heard, as far as that needs no face; what is encoded stays as it is."""
        return list(voices)

    @abstractmethod
    def read(self, moments: Sequence[Moment]) -> list[Reading | None]:
        """Read everything that does not depend on time; None where a moment gives nothing
        to use."""

    @abstractmethod
    def step(
        self,
        readings: Sequence[Reading],
        memories: Sequence[Memory | None],
        news: Sequence[float],
    ) -> list[Answer]:
        """Step one moment of as many sessions; a memory of None is that of a session's start.

        `news` says how much of each moment counts beside what was before, 1 for all; memories
        that learned how to remember do without it.
        """


def encode_windows(
    voices: Sequence[Voice], encode: Callable[[list[Floats]], Iterable[Mapping[str, Floats]]]
) -> list[Voice]:
    """Encode those of the voices that are not yet, together."""
    windows = [voice for voice in voices if isinstance(voice, np.ndarray)]
    encoded = iter(encode(windows) if windows else ())
    return [next(encoded) if isinstance(voice, np.ndarray) else voice for voice in voices]


def read_batches(
    moments: Sequence[Moment],
    rows: Sequence[int],
    read: Callable[[list[Moment]], Iterable[Reading]],
) -> list[Reading | None]:
    """Read the moments at `rows`, at most MAX_BATCH at once; the others give None."""
    readings: list[Reading | None] = [None] * len(moments)
    for begin in range(0, len(rows), MAX_BATCH):
        batch = rows[begin : begin + MAX_BATCH]
        for row, reading in zip(batch, read([moments[row] for row in batch]), strict=True):
            readings[row] = reading
    return readings


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
