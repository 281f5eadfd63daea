"""The fusion of face and voice and C's convolutions, learnt on single frames of made clips."""

from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy

from handlers.networks.affect import AffectNetworks
from handlers.networks.gate import GatedUnit
from handlers.training.affect.losses import affect_loss
from handlers.training.affect.studio import Studio
from handlers.training.datasets.affect.clips import Clip, Health
from handlers.training.loop import Batch, Losses

# Where the mean gate should lie when the face, the voice, or neither is degraded.
VOICE_SIDE, FACE_SIDE, MIDDLE = np.float32(0.2), np.float32(0.8), np.float32(0.5)


class FusionBatches:
    """Draws frames of made clips, those with a degraded modality `degraded` times as often.

    A batch holds `face` and `voice` maps, `has_face`, `has_voice`, `label`, and `gate`: what the
    mean gate should be, -1 where it is forced.
    """

    def __init__(self, studio: Studio, degraded: float = 1.0) -> None:
        clips = studio.clips
        self.faces, self.voices = studio.faces, studio.voices
        self.face = np.concatenate([one.face for one in clips])
        self.voice = np.concatenate([one.voice for one in clips])
        self.has_face = np.concatenate([one.has_face for one in clips])
        self.has_voice = np.concatenate([one.has_voice for one in clips])
        self.labels = np.concatenate([one.clip.labels for one in clips])
        self.gates = np.concatenate([gate_targets(one.clip) for one in clips])
        bad = (self.gates == VOICE_SIDE) | (self.gates == FACE_SIDE)
        odds = np.where(bad, degraded, 1.0)
        self.odds = odds / odds.sum()

    def __call__(self, rng: np.random.Generator, size: int) -> Batch:
        frames = rng.choice(len(self.labels), size, p=self.odds)
        return {
            "face": self.faces[self.face[frames]],
            "voice": self.voices[self.voice[frames]],
            "has_face": torch.from_numpy(self.has_face[frames]),
            "has_voice": torch.from_numpy(self.has_voice[frames]),
            "label": torch.from_numpy(self.labels[frames]),
            "gate": torch.from_numpy(self.gates[frames]),
        }


class FusionLearner(nn.Module):
    """Learns fusion, C's convolutions and its single-frame answer.

    `gate_weight` is that of an auxiliary loss which the thesis does not have: where one modality
    is degraded, and the making of the clip says so, the mean gate should lean to the other.
    """

    def __init__(self, networks: AffectNetworks, gate_weight: float) -> None:
        super().__init__()
        self.networks, self.gate_weight = networks, gate_weight
        networks.branches.requires_grad_(False)

    def forward(self, batch: Batch, progress: float) -> Losses:
        """Maps `(B, planes, 32, 32)` of both modalities with `label` `(B, 2)` -> the losses."""
        fused = self.networks.join(
            batch["face"].float(), batch["voice"].float(), batch["has_face"], batch["has_voice"]
        )
        estimate = self.networks.step(self.networks.features(fused.planes), {}).estimate
        label = batch["label"]
        losses = {"affect": affect_loss(estimate, label, torch.ones_like(label))}
        total = losses["affect"]
        if fused.gate is not None:
            losses["gate"] = gate_loss(fused.gate, batch["gate"])
            total = total + self.gate_weight * losses["gate"]
        return {"loss": total, **losses}


class GateLearner(nn.Module):
    """Learns the gate alone: to lean to the healthy modality, before anything is fused by it."""

    def __init__(self, networks: AffectNetworks) -> None:
        super().__init__()
        self.networks = networks
        networks.requires_grad_(False)
        cast(GatedUnit, networks.fusion).gate.requires_grad_(True)

    def forward(self, batch: Batch, progress: float) -> Losses:
        """As `FusionLearner`'s, but for the labels, which it does not look at."""
        fused = self.networks.join(
            batch["face"].float(), batch["voice"].float(), batch["has_face"], batch["has_voice"]
        )
        assert fused.gate is not None
        return {"loss": gate_loss(fused.gate, batch["gate"])}


def gate_targets(clip: Clip) -> NDArray[np.float32]:
    """What the mean gate of every frame should be `(T,)`; -1 where a modality is missing."""
    targets = np.full(len(clip.face), MIDDLE, np.float32)
    targets[clip.face_health == Health.DEGRADED] = VOICE_SIDE
    targets[clip.voice_health == Health.DEGRADED] = FACE_SIDE
    missing = (clip.face_health == Health.MISSING) | (clip.voice_health == Health.MISSING)
    targets[missing] = -1
    return targets


def gate_loss(gate: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of mean gates `(B,)` against targets, where there are any."""
    known = target >= 0
    weight = known.float() / known.float().sum().clamp(min=1)
    with torch.autocast(gate.device.type, enabled=False):
        clamped = gate.float().clamp(1e-4, 1 - 1e-4)
        return binary_cross_entropy(clamped, target.clamp(min=0), weight, reduction="sum")
