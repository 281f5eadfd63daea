"""Facial actions, from the places of a face's points and the features under them."""

import torch
from torch import Tensor, nn

from handlers.networks.actions import ACTIONS

# The 68 landmarks and the irises: points of brows and eyes, and of the mouth.
REGIONS = (slice(17, 22), slice(22, 27), slice(36, 42), slice(42, 48), slice(48, 68))
EYES = ((slice(36, 42), 36, 39, 68), (slice(42, 48), 42, 45, 69))
N_POINTS = 70
N_PLACES = 2 * (N_POINTS + sum(part.stop - part.start for part in REGIONS) + len(EYES))


class ActionReader(nn.Module):
    """Facial actions `(B, 40)`, about in [0, 1].

    Places are measured along the eyes' line in their distance: in the whole face, in brows, eyes
    and mouth by themselves, and of an iris between the corners of its eye.
    """

    def __init__(self, width: int, hidden: int = 256, kept: int = 2, dropout: float = 0.2) -> None:
        super().__init__()
        self.reduce = nn.Linear(width, kept)
        inputs = N_PLACES + N_POINTS * kept
        self.scale = nn.BatchNorm1d(inputs, affine=False)
        self.layers = nn.Sequential(
            nn.Linear(inputs, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, len(ACTIONS)),
        )

    def forward(self, points: Tensor, under: Tensor) -> Tensor:
        """Take points `(B, 70, 2)` in pixels of the crop, features `(B, 70, width)` under their
        maps."""
        seen = [*places(points), self.reduce(under).float()]
        inputs = self.scale(torch.cat([part.flatten(1) for part in seen], dim=1))
        actions: Tensor = self.layers(inputs)
        return actions.float()


def places(points: Tensor) -> list[Tensor]:
    """Centre points `(B, 70, 2)`, regions by themselves, and irises between their eyes' corners."""
    upright = along_eyes(points)
    regions = [upright[:, part] for part in REGIONS]
    own = [part - part.mean(dim=1, keepdim=True) for part in regions]
    irises = [
        upright[:, iris] - (upright[:, outer] + upright[:, inner]) / 2
        for _, outer, inner, iris in EYES
    ]
    return [upright, *own, torch.stack(irises, dim=1)]


def along_eyes(points: Tensor) -> Tensor:
    """Turn and scale points so that the eyes lie level and 1 apart, about the middle of all."""
    left, right = (points[:, eye].mean(dim=1) for eye, *_ in EYES)
    line = right - left
    # Eyes that fall together would make the scale infinite.
    length = line.square().sum(dim=1, keepdim=True).sqrt().clamp_min(1.0)
    cosine, sine = (line / length).unbind(dim=1)
    x, y = ((points - points.mean(dim=1, keepdim=True)) / length[..., None]).unbind(dim=-1)
    cosine, sine = cosine[:, None], sine[:, None]
    return torch.stack([x * cosine + y * sine, y * cosine - x * sine], dim=-1)
