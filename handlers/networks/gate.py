"""Two modalities' latent maps ZQ to one: side by side (eq. 7.4) or through a gate (eq. 7.5-7.8)."""

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Fused(NamedTuple):
    """Maps for C `(B, planes, 32, 32)` and the gate's mean `(B,)`: 1 all face, 0 all voice."""

    planes: Tensor
    gate: Tensor | None


class Concatenation(nn.Module):
    """ZQ^C = [ZQ^I; ZQ^S] (eq. 7.4); the planes of a missing modality are zero."""

    def __init__(self, planes: int) -> None:
        super().__init__()
        self.planes = 2 * planes

    def forward(self, face: Tensor, voice: Tensor, has_face: Tensor, has_voice: Tensor) -> Fused:
        """ZQ of face and voice `(B, planes, 32, 32)`; which are there, `(B,)` bool each."""
        return Fused(torch.cat([_only(face, has_face), _only(voice, has_voice)], dim=1), None)


class GatedUnit(nn.Module):
    """The gated multimodal unit; all its weights are 1 x 1 convolutions.

    `wider` is how many times more planes come out than one modality has: with 2 the unit can keep
    both modalities apart, as side by side, and weigh them still.

    Where one modality is missing the gate is forced to the other's side, whatever it was given in
    the missing one's place; where both are, the maps are zero.
    """

    def __init__(self, planes: int, wider: int = 1) -> None:
        super().__init__()
        self.planes = wider * planes
        self.face = nn.Conv2d(planes, self.planes, 1)
        self.voice = nn.Conv2d(planes, self.planes, 1)
        self.gate = nn.Conv2d(2 * planes, self.planes, 1)

    def forward(self, face: Tensor, voice: Tensor, has_face: Tensor, has_voice: Tensor) -> Fused:
        """ZQ of face and voice `(B, planes, 32, 32)`; which are there, `(B,)` bool each."""
        face, voice = _only(face, has_face), _only(voice, has_voice)
        gate = torch.sigmoid(self.gate(torch.cat([face, voice], dim=1)))
        gate = torch.where(_wide(has_voice), gate, torch.ones_like(gate))
        gate = torch.where(_wide(has_face), gate, torch.zeros_like(gate))
        h_v = _only(torch.tanh(self.face(face)), has_face)
        h_s = _only(torch.tanh(self.voice(voice)), has_voice)
        return Fused(gate * h_v + (1 - gate) * h_s, gate.float().mean(dim=(1, 2, 3)))


def _wide(present: Tensor) -> Tensor:
    return present[:, None, None, None]


def _only(maps: Tensor, present: Tensor) -> Tensor:
    """Zeros in the rows that are not there, even where these hold no numbers."""
    return torch.where(_wide(present), maps, torch.zeros_like(maps))
