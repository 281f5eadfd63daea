"""The networks of chapters 5 to 7: moments to readings, latent maps and memories to answers."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from handlers.engines.base import Engine, carried, zeros
from handlers.networks.variants import FACE, VOICE
from handlers.predictors.affect.estimator import (
    Answer,
    DescriptorScale,
    Estimator,
    Moment,
    Reading,
    Sound,
    Voice,
    encode_windows,
    halve,
    hear_descriptors,
    hear_window,
    read_batches,
    windows_to_input,
)
from handlers.predictors.tracking.state import Memory
from handlers.processing.audio_descriptors import PcmStream
from handlers.processing.boxes import to_input
from handlers.processing.mel_stream import MelStream

Floats = NDArray[np.float32]
# Parts of an affect model; each modality has its own encoder.
FEATURES, STEP = "features", "step"


class ConditionalEstimator(Estimator):
    """One moment's face, with the descriptors of its sound where the networks hear."""

    sees = True

    def __init__(self, engine: Engine, context: float, scale: DescriptorScale | None) -> None:
        self.engine, self.context, self.scale = engine, context, scale
        self.hears = scale is not None

    def silence(self) -> PcmStream:
        return PcmStream()

    def hear(self, sound: Sound, time_s: float) -> Floats | None:
        if self.scale is None or not isinstance(sound, PcmStream):
            return None
        return hear_descriptors(sound, time_s, self.scale)

    def read(self, moments: Sequence[Moment]) -> list[Reading | None]:
        rows = [row for row, moment in enumerate(moments) if moment.face is not None]
        return read_batches(moments, rows, self._read)

    def _read(self, moments: Sequence[Moment]) -> list[Reading]:
        heard = [(FACE,) if moment.voice is None else (FACE, VOICE) for moment in moments]
        rows = zip(self._estimate(moments), heard, strict=True)
        return [Reading(estimate, None, None, used) for estimate, used in rows]

    def step(
        self,
        readings: Sequence[Reading],
        memories: Sequence[Memory | None],
        news: Sequence[float],
    ) -> list[Answer]:
        estimates = [reading.features.tolist() for reading in readings]
        return [Answer(valence, arousal, (), {}) for valence, arousal in estimates]

    def _estimate(self, moments: Sequence[Moment]) -> Floats:
        """Turn faces `(B,)`, with the mean descriptors where nothing is heard, into `(B, 2)`."""
        inputs = {"crops": to_input([m.face for m in moments if m.face is not None])}
        if self.scale is not None:
            # Descriptors come scaled: their mean is 0.
            mean = np.zeros_like(self.scale.mean)
            heard = [m.voice if isinstance(m.voice, np.ndarray) else mean for m in moments]
            inputs["descriptors"] = np.stack(heard)
        return self.engine.run("judge", **inputs)["estimate"]


class LatentEstimator(Estimator):
    """The networks of chapters 6 and 7."""

    def __init__(self, engine: Engine, modalities: tuple[str, ...], context: float) -> None:
        self.engine, self.modalities, self.context = engine, modalities, context
        self.sees, self.hears = FACE in self.modalities, VOICE in self.modalities

    def silence(self) -> MelStream:
        return MelStream()

    def hear(self, sound: Sound, time_s: float) -> Floats | None:
        if not self.hears or not isinstance(sound, MelStream):
            return None
        return hear_window(sound, time_s)

    def listen(self, voices: Sequence[Voice]) -> list[Voice]:
        return encode_windows(voices, self._listen)

    def _listen(self, windows: Sequence[Floats]) -> list[Memory]:
        found = self.engine.run(f"encode_{VOICE}", crops=windows_to_input(windows))
        return [{name: one[row] for name, one in found.items()} for row in range(len(windows))]

    def read(self, moments: Sequence[Moment]) -> list[Reading | None]:
        rows = [row for row, moment in enumerate(moments) if self._usable(moment)]
        return read_batches(moments, rows, self._read)

    def step(
        self,
        readings: Sequence[Reading],
        memories: Sequence[Memory | None],
        news: Sequence[float],
    ) -> list[Answer]:
        batch = self._stack(memories)
        features = np.stack([reading.features for reading in readings])
        found = self.engine.run(STEP, features=features, **batch)
        after, weights = halve(carried(found)), found.get("weights")
        held = batch["held"].tolist() if "held" in batch else [0] * len(memories)
        answers = []
        for row, (valence, arousal) in enumerate(found["estimate"].tolist()):
            past = () if weights is None else weights[row, weights.shape[1] - held[row] :].tolist()
            memory = {name: np.array(one[row]) for name, one in after.items()}
            answers.append(Answer(valence, arousal, tuple(past), memory))
        return answers

    def _usable(self, moment: Moment) -> tuple[str, ...]:
        there = {FACE: moment.face is not None, VOICE: moment.voice is not None}
        return tuple(name for name in self.modalities if there[name])

    def _read(self, moments: Sequence[Moment]) -> list[Reading]:
        """Read moments of which each gives something."""
        used = [self._usable(moment) for moment in moments]
        maps, quadrants, there = {}, {}, {}
        for name in self.modalities:
            maps[name], quadrants[name] = self._encode(name, moments, used)
            if len(self.modalities) > 1:
                there[f"has_{name}"] = np.array([name in one for one in used])
        found = self.engine.run(FEATURES, **maps, **there)
        gates = found["gate"].tolist() if "gate" in found else [None] * len(moments)
        return [
            Reading(features, gates[row], _mix(quadrants, row, used[row], gates[row]), used[row])
            for row, features in enumerate(found["features"])
        ]

    def _encode(
        self, name: str, moments: Sequence[Moment], used: Sequence[tuple[str, ...]]
    ) -> tuple[Floats, Floats]:
        """Return ZQ of every moment, zero where the modality is missing, and the quadrants
        `(B, 4)`."""
        maps = zeros(self.engine, FEATURES, len(moments))[name]
        quadrants = np.zeros((len(moments), 4), np.float32)
        rows = [row for row, modalities in enumerate(used) if name in modalities]
        if rows and name == FACE:
            faces = [moments[row].face for row in rows]
            found = self.engine.run(
                f"encode_{FACE}", crops=to_input([f for f in faces if f is not None])
            )
            maps[rows], quadrants[rows] = found["planes"], found["quadrants"]
        elif rows:
            voices = [moments[row].voice for row in rows]
            heard = self.listen([voice for voice in voices if voice is not None])
            for row, voice in zip(rows, heard, strict=True):
                assert isinstance(voice, Mapping)
                maps[row], quadrants[row] = voice["planes"], voice["quadrants"]
        return maps, quadrants

    def _stack(self, memories: Sequence[Memory | None]) -> Memory:
        batch = zeros(self.engine, STEP, len(memories), FEATURES)
        for row, memory in enumerate(memories):
            if memory is not None:
                for name, one in batch.items():
                    one[row] = memory[name]
        return batch


def _mix(
    quadrants: dict[str, Floats], row: int, used: tuple[str, ...], gate: float | None
) -> Floats:
    """Return one moment's quadrants: of two modalities the mean, by the gate where there is one."""
    share = 0.5 if gate is None else gate
    shares = [1.0] if len(used) == 1 else [share, 1 - share]
    return np.average([quadrants[name][row] for name in used], axis=0, weights=shares)
