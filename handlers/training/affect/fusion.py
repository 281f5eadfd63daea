"""The fusion of face and voice and C's convolutions, learnt on single frames of made clips."""

import copy
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from handlers.networks.affect import AffectNetworks
from handlers.networks.gate import GatedUnit
from handlers.training.affect.losses import affect_loss
from handlers.training.affect.made.studio import Studio
from handlers.training.loop import Batch, Losses

# How much it counts that C keeps what it knows of faces alone.
KEEP = 3.0


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
    """Learns fusion, C's convolutions and its single-frame answer; G, D and a gate hold still.

    Of a face alone C should go on thinking what the `single` network of the face does, which has
    learnt from many more faces than made clips show: how far its features stray is a loss.
    """

    def __init__(self, networks: AffectNetworks, single: AffectNetworks) -> None:
        super().__init__()
        self.networks = networks
        self.single = copy.deepcopy(single).requires_grad_(False)
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
        affect = affect_loss(estimate, label, torch.ones_like(label))
        kept = self._strayed(batch)
        return {"loss": affect + KEEP * kept, "affect": affect.detach(), "kept": kept.detach()}

    def train(self, mode: bool = True) -> Self:
        """C's normalisation keeps the statistics that it has of faces."""
        super().train(mode)
        self.networks.combiner.encoder.eval()
        self.single.eval()
        return self

    def _strayed(self, batch: Batch) -> Tensor:
        """Mean square of what features of faces alone stray, in shares of their variance."""
        face = batch["face"][batch["has_face"]].float()
        if len(face) < 2:
            return face.new_zeros(())
        there = torch.ones(len(face), dtype=torch.bool, device=face.device)
        now = self.networks.features(self.networks.join(face, face, there, ~there).planes).float()
        wanted = self.single.features(self.single.join(face).planes).float()
        return (now - wanted).square().mean() / wanted.var(dim=0).mean().clamp_min(1e-6)
