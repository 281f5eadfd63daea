"""G: a degraded face or Mel window to its latent map Z and its cleaned version (Table A.1)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import group_norm

from handlers.networks.layers import halving

INPUT_PX = 128
LATENT_PX = 32


@dataclass(frozen=True)
class GeneratorSize:
    """Channels of Conv1, of Z (Conv2 to Conv43), and of the two deconvolutions.

    `norm` is "instance", as the thesis has it, or "batch". Instance normalisation takes the mean
    level of a map away, of a Mel window in decibels thus its loudness; batch normalisation does
    not, and costs nothing once it is folded into the convolutions.
    """

    first: int
    latent: int
    decoder: tuple[int, int]
    norm: str = "instance"


SIZES = {
    "thesis": GeneratorSize(64, 128, (128, 64)),
    "compact": GeneratorSize(8, 24, (8, 8)),
    "tiny": GeneratorSize(2, 4, (2, 2)),
}


class InstanceNorm(nn.InstanceNorm2d):
    """Instance normalisation that, outside of training, keeps channels last in memory.

    A group of each channel gives the same numbers, and on a CPU the convolutions around it then
    take half the time; in training, with half precision, it is the other way round.
    """

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            return super().forward(x)
        return group_norm(x, self.num_features, self.weight, self.bias, self.eps)


NORMS: dict[str, type[nn.Module]] = {"instance": InstanceNorm, "batch": nn.BatchNorm2d}


class Residual(nn.Module):
    """Three 3 x 3 convolutions, and what went in added (Conv31-33 and R1; Conv41-43 and Z)."""

    def __init__(self, channels: int, norm: str) -> None:
        super().__init__()
        convs = [nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(3)]
        self.body = nn.Sequential(*[layer for conv in convs for layer in _active(conv, norm)])
        self.norm = _norm(norm, channels)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.norm(x + self.body(x)))


class Generator(nn.Module):
    """An auto-encoder without skips, whose middle is the latent map Z (5.3.1, eq. 6.1, 7.1)."""

    def __init__(self, size: GeneratorSize) -> None:
        super().__init__()
        self.latent_channels = size.latent
        norm, (third, second) = size.norm, size.decoder
        self.encoder = nn.Sequential(
            *_active(halving(3, size.first, bias=False), norm),
            *_active(halving(size.first, size.latent, bias=False), norm),
            Residual(size.latent, norm),
            Residual(size.latent, norm),
        )
        self.decoder = nn.Sequential(
            *_active(_doubling(size.latent, third), norm),
            *_active(_doubling(third, second), norm),
            nn.Conv2d(second, 3, 3, padding=1),
            nn.Tanh(),
        )

    def encode(self, image: Tensor) -> Tensor:
        """Turn `(B, 3, 128, 128)` in [-1, 1] into Z `(B, latent_channels, 32, 32)`, not
        negative."""
        return self.encoder(image)  # type: ignore[no-any-return]

    def decode(self, latent: Tensor) -> Tensor:
        """Turn Z into the cleaned image `(B, 3, 128, 128)` in [-1, 1]."""
        return self.decoder(latent)  # type: ignore[no-any-return]

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Turn `(B, 3, 128, 128)` in [-1, 1] into Z and the cleaned image."""
        latent = self.encode(image)
        return latent, self.decode(latent)


def _doubling(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=False)


def _norm(name: str, channels: int) -> nn.Module:
    if name not in NORMS:
        raise ValueError(f"unknown normalisation {name!r}: {' or '.join(NORMS)}")
    return NORMS[name](channels, affine=True)


def _active(layer: nn.Conv2d | nn.ConvTranspose2d, norm: str) -> list[nn.Module]:
    return [layer, _norm(norm, layer.out_channels), nn.ReLU()]
