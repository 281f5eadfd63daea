"""A voice's Mel window to its arousal: convolutions over time, and what they are in the mean.

Plainer than the thesis's networks, and better where they have learned nothing (see
`model_store/voice`).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from handlers.networks.variants import AffectConfig

EPSILON = 1e-5


@dataclass(frozen=True)
class VoiceSize:
    """The number of bands of a window that are read, and the widths of the layers."""

    bands: int = 88
    width: int = 64


SIZES = {"compact": VoiceSize(), "tiny": VoiceSize(width=8)}


class VoiceNetwork(nn.Module):
    """Bands up to 4 kHz are channels of two convolutions over time; mean and spread over the
    columns with sound tell arousal."""

    def __init__(self, config: AffectConfig) -> None:
        super().__init__()
        self.config = config
        size = SIZES[config.size]
        self.bands = size.bands
        self.layers = nn.Sequential(
            *_layer(size.bands, size.width, 5, 2),
            *_layer(size.width, size.width, 5, 1),
        )
        self.head = nn.Linear(2 * size.width, 1)

    def forward(self, windows: Tensor) -> Tensor:
        """Level-free windows `(B, 128, 128)` in [-1, 1] -> arousal `(B,)` in [-1, 1]."""
        return self.head(self.features(windows)).squeeze(-1).tanh()  # type: ignore[no-any-return]

    def features(self, windows: Tensor) -> Tensor:
        """`(B, 128, 128)` -> `(B, 2 width)`."""
        bands = windows[:, : self.bands]
        maps = self.layers(bands)
        loud = F.avg_pool1d((bands.mean(dim=1, keepdim=True) > -0.95).to(maps.dtype), 2)
        total = loud.sum(dim=-1) + EPSILON
        mean = (maps * loud).sum(dim=-1) / total
        spread = ((maps - mean[..., None]).square() * loud).sum(dim=-1) / total
        return torch.cat([mean, (spread + EPSILON).sqrt()], dim=1)


def _layer(inputs: int, outputs: int, kernel: int, stride: int) -> tuple[nn.Module, ...]:
    convolution = nn.Conv1d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)
    return convolution, nn.BatchNorm1d(outputs), nn.ReLU(inplace=True)
