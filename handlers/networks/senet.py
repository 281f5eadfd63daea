"""SE-ResNet (Hu et al. 2018): the backbone of the facial landmark estimator, eq. 4.13."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, conv2d


@dataclass(frozen=True)
class SEResNetSize:
    """Channels of the stem and of the stages (strides 4, 8, 16, 32), blocks a stage."""

    stem: int
    channels: tuple[int, int, int, int]
    blocks: tuple[int, int, int, int]
    bottleneck: bool


SIZES = {
    "thesis": SEResNetSize(64, (256, 512, 1024, 2048), (3, 4, 6, 3), bottleneck=True),
    "compact": SEResNetSize(24, (32, 64, 128, 256), (2, 2, 2, 2), bottleneck=False),
    "tiny": SEResNetSize(4, (8, 8, 16, 16), (1, 1, 1, 1), bottleneck=False),
}


class SqueezeExcitation(nn.Module):
    """Weights of the channels, computed from the mean of each over the whole map."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, channels // reduction, 1)
        self.excite = nn.Conv2d(channels // reduction, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        pooled = adaptive_avg_pool2d(x, 1)
        return x * torch.sigmoid(self.excite(torch.relu(self.squeeze(pooled))))


def conv_norm(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Return a padded convolution and its batch normalisation."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
    )


class SEBlock(nn.Module):
    """A residual block, basic or bottleneck, with squeeze-and-excitation before the sum."""

    def __init__(self, inputs: int, outputs: int, stride: int, bottleneck: bool) -> None:
        super().__init__()
        if bottleneck:
            middle = outputs // 4
            self.residual = nn.Sequential(
                conv_norm(inputs, middle, 1),
                nn.ReLU(),
                conv_norm(middle, middle, 3, stride),
                nn.ReLU(),
                conv_norm(middle, outputs, 1),
                SqueezeExcitation(outputs, 16),
            )
        else:
            self.residual = nn.Sequential(
                conv_norm(inputs, outputs, 3, stride),
                nn.ReLU(),
                conv_norm(outputs, outputs, 3),
                SqueezeExcitation(outputs, 8),
            )
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else conv_norm(inputs, outputs, 1)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self._passed_by(x) + self.residual(x))

    def _passed_by(self, x: Tensor) -> Tensor:
        if self.stride == 1 or not torch.compiler.is_exporting():
            # A strided 1 x 1 convolution, spelled as slicing and an unstrided one: the strided
            # kernel writes beyond its memory on a CPU with few channels (torch 2.13, channels
            # last, float32).
            kept: Tensor = self.shortcut(x[..., :: self.stride, :: self.stride])
            return kept
        assert isinstance(self.shortcut, nn.Sequential)
        convolution, norm = self.shortcut
        assert isinstance(convolution, nn.Conv2d)
        passed: Tensor = norm(conv2d(x, convolution.weight, stride=self.stride))
        return passed


class SEResNet(nn.Module):
    """Feature maps of a face at strides 4, 8, 16 and 32.

    `size` is "thesis" (SE-ResNet-50) or "compact". The stem has one stride of two where a
    classifier's has two, so that a 128-pixel face keeps a 32 x 32 map.
    """

    def __init__(self, size: str) -> None:
        super().__init__()
        spec = SIZES[size]
        self.channels = spec.channels
        self.stem = nn.Sequential(conv_norm(3, spec.stem, 5, 2), nn.ReLU())
        self.stages = nn.ModuleList()
        inputs = spec.stem
        for outputs, blocks in zip(spec.channels, spec.blocks, strict=True):
            strides = [2] + [1] * (blocks - 1)
            widths = [inputs] + [outputs] * (blocks - 1)
            self.stages.append(
                nn.Sequential(
                    *(
                        SEBlock(width, outputs, stride, spec.bottleneck)
                        for width, stride in zip(widths, strides, strict=True)
                    )
                )
            )
            inputs = outputs

    def forward(self, x: Tensor) -> list[Tensor]:
        """Turn `(B, 3, H, W)` in [-1, 1] into four maps
        `(B, C_i, H / 2^(i + 2), W / 2^(i + 2))`."""
        x = self.stem(x)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps
