"""The fusion of face and voice and C's convolutions, learnt on single frames of made clips."""

import numpy as np
import torch
from torch import nn

from handlers.networks.affect import AffectNetworks
from handlers.networks.gate import GatedUnit
from handlers.training.affect.losses import affect_loss
from handlers.training.affect.studio import Studio
from handlers.training.loop import Batch, Losses


class FusionBatches:
    """Draws frames of made clips: `face` and `voice` maps, `has_face`, `has_voice`, `label`."""

    def __init__(self, studio: Studio) -> None:
        clips = studio.clips
        self.faces, self.voices = studio.faces, studio.voices
        self.face = np.concatenate([one.face for one in clips])
        self.voice = np.concatenate([one.voice for one in clips])
        self.has_face = np.concatenate([one.has_face for one in clips])
        self.has_voice = np.concatenate([one.has_voice for one in clips])
        self.labels = np.concatenate([one.clip.labels for one in clips])

    def __call__(self, rng: np.random.Generator, size: int) -> Batch:
        frames = rng.choice(len(self.labels), size, replace=False)
        return {
            "face": self.faces[self.face[frames]],
            "voice": self.voices[self.voice[frames]],
            "has_face": torch.from_numpy(self.has_face[frames]),
            "has_voice": torch.from_numpy(self.has_voice[frames]),
            "label": torch.from_numpy(self.labels[frames]),
        }


class FusionLearner(nn.Module):
    """Learns fusion, C's convolutions and its single-frame answer; G, D and a gate hold still."""

    def __init__(self, networks: AffectNetworks) -> None:
        super().__init__()
        self.networks = networks
        networks.requires_grad_(True)
        networks.branches.requires_grad_(False)
        if isinstance(networks.fusion, GatedUnit):
            networks.fusion.gate.requires_grad_(False)

    def forward(self, batch: Batch, progress: float) -> Losses:
        """Maps `(B, planes, 32, 32)` of both modalities with `label` `(B, 2)` -> the losses."""
        fused = self.networks.join(
            batch["face"].float(), batch["voice"].float(), batch["has_face"], batch["has_voice"]
        )
        estimate = self.networks.step(self.networks.features(fused.planes), {}).estimate
        label = batch["label"]
        loss = affect_loss(estimate, label, torch.ones_like(label))
        return {"loss": loss, "affect": loss.detach()}
