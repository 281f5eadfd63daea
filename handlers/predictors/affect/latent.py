"""The networks of chapters 6 and 7 on a device: moments to latent maps, memories to answers."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handlers.networks.affect import FACE, VOICE, AffectNetworks
from handlers.predictors.affect.estimator import MAX_BATCH, Answer, Estimator, Reading
from handlers.predictors.affect.inputs import (
    Moment,
    Sound,
    faces_to_tensor,
    hear_window,
    windows_to_tensor,
)
from handlers.predictors.affect.state import halve
from handlers.predictors.tracking.state import Memory
from handlers.processing.mel_stream import MelStream

Floats = NDArray[np.float32]


class LatentEstimator(Estimator):
    """The networks of chapters 6 and 7."""

    def __init__(self, networks: AffectNetworks, context: float, device: str = "cpu") -> None:
        self.networks = networks.to(device).eval()
        self.context, self.device = context, torch.device(device)
        self.modalities = networks.config.modalities
        self.sees, self.hears = FACE in self.modalities, VOICE in self.modalities

    def silence(self) -> MelStream:
        return MelStream()

    def hear(self, sound: Sound, time_s: float) -> Floats | None:
        if not self.hears or not isinstance(sound, MelStream):
            return None
        return hear_window(sound, time_s)

    def read(self, moments: Sequence[Moment]) -> list[Reading | None]:
        used = [self._usable(moment) for moment in moments]
        rows = [row for row, modalities in enumerate(used) if modalities]
        readings: list[Reading | None] = [None] * len(moments)
        for begin in range(0, len(rows), MAX_BATCH):
            batch = rows[begin : begin + MAX_BATCH]
            read = self._read([moments[row] for row in batch], [used[row] for row in batch])
            for row, reading in zip(batch, read, strict=True):
                readings[row] = reading
        return readings

    def step(
        self,
        readings: Sequence[Reading],
        memories: Sequence[Memory | None],
        since_s: Sequence[float],
    ) -> list[Answer]:
        batch = self._stack(memories)
        features = torch.stack([reading.features for reading in readings])
        step = self.networks.step(features, batch)
        estimates, weights = step.estimate.cpu(), step.weights.cpu()
        after = {name: tensor.cpu() for name, tensor in halve(step.memory).items()}
        held = batch["held"].tolist() if "held" in batch else [0] * len(memories)
        answers = []
        for row, (valence, arousal) in enumerate(estimates.tolist()):
            attention = tuple(weights[row, weights.shape[1] - held[row] :].tolist())
            memory = {name: tensor[row].clone() for name, tensor in after.items()}
            answers.append(Answer(valence, arousal, attention, memory))
        return answers

    def _usable(self, moment: Moment) -> tuple[str, ...]:
        there = {FACE: moment.face is not None, VOICE: moment.voice is not None}
        return tuple(name for name in self.modalities if there[name])

    def _read(self, moments: Sequence[Moment], used: Sequence[tuple[str, ...]]) -> list[Reading]:
        """Readings of moments of which each gives something."""
        maps, quadrants = {}, {}
        for name in self.modalities:
            maps[name], quadrants[name] = self._encode(name, moments, used)
        there = {
            name: torch.tensor([name in one for one in used], device=self.device)
            for name in (FACE, VOICE)
        }
        fused = self.networks.join(maps.get(FACE), maps.get(VOICE), there[FACE], there[VOICE])
        features = self.networks.features(fused.planes).float()
        gates = [None] * len(moments) if fused.gate is None else fused.gate.tolist()
        return [
            Reading(
                features[row], gates[row], _mix(quadrants, row, used[row], gates[row]), used[row]
            )
            for row in range(len(moments))
        ]

    def _encode(
        self, name: str, moments: Sequence[Moment], used: Sequence[tuple[str, ...]]
    ) -> tuple[Tensor, Floats]:
        """ZQ of every moment, zero where the modality is missing, and the quadrants `(B, 4)`."""
        size = (len(moments), self.networks.planes, 32, 32)
        maps = torch.zeros(size, device=self.device).contiguous(memory_format=torch.channels_last)
        quadrants = np.zeros((len(moments), 4), np.float32)
        rows = [row for row, modalities in enumerate(used) if name in modalities]
        if rows:
            inputs = self._inputs(name, [moments[row] for row in rows])
            zq, logits = self.networks.encode(name, inputs)
            maps[rows] = zq.float()
            quadrants[rows] = logits.float().softmax(dim=-1).cpu().numpy()
        return maps, quadrants

    def _inputs(self, name: str, moments: Sequence[Moment]) -> Tensor:
        if name == FACE:
            return faces_to_tensor([m.face for m in moments if m.face is not None], self.device)
        return windows_to_tensor([m.voice for m in moments if m.voice is not None], self.device)

    def _stack(self, memories: Sequence[Memory | None]) -> Memory:
        batch = self.networks.initial_memory(len(memories))
        for row, memory in enumerate(memories):
            if memory is not None:
                for name, tensor in batch.items():
                    tensor[row] = memory[name].to(tensor)
        return batch


def _mix(
    quadrants: dict[str, Floats], row: int, used: tuple[str, ...], gate: float | None
) -> Floats:
    """One moment's quadrants: of two modalities the mean, by the gate where there is one."""
    share = 0.5 if gate is None else gate
    shares = [1.0] if len(used) == 1 else [share, 1 - share]
    return np.average([quadrants[name][row] for name in used], axis=0, weights=shares)
