"""A grey face to emotion words, valence and arousal: EfficientNet-Lite0 with two heads."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from handlers.networks.variants import EXPRESSIONS, AffectConfig

INPUT_PX = 96


@dataclass(frozen=True)
class BlockStage:
    """Blocks of one width; the first of them has the stride."""

    blocks: int
    kernel: int
    stride: int
    expansion: int
    channels: int


@dataclass(frozen=True)
class ExpressionSize:
    """Channels of the stem and of the features, and the stages between them."""

    stem: int
    stages: tuple[BlockStage, ...]
    features: int


SIZES = {
    # EfficientNet-Lite0: EfficientNet-B0 (Tan and Le 2019) with ReLU6, without squeeze-excitation.
    "compact": ExpressionSize(
        32,
        (
            BlockStage(1, 3, 1, 1, 16),
            BlockStage(2, 3, 2, 6, 24),
            BlockStage(2, 5, 2, 6, 40),
            BlockStage(3, 3, 2, 6, 80),
            BlockStage(3, 5, 1, 6, 112),
            BlockStage(4, 5, 2, 6, 192),
            BlockStage(1, 3, 1, 6, 320),
        ),
        1280,
    ),
    "tiny": ExpressionSize(4, (BlockStage(1, 3, 2, 1, 4), BlockStage(2, 3, 2, 2, 4)), 8),
}


class ExpressionOutput(NamedTuple):
    """The answer for a face: logits of EXPRESSIONS `(B, 8)`, valence and arousal `(B, 2)`."""

    logits: Tensor
    place: Tensor


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow does, where the weights of the body come from.

    With stride 2 an even side gets its extra row behind; PyTorch pads both sides, which moves every
    pixel by one.
    """

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        high, wide = (
            max((math.ceil(side / stride) - 1) * stride + kernel - side, 0) for side in x.shape[2:]
        )
        padded = pad(x, (wide // 2, wide - wide // 2, high // 2, high - high // 2))
        return super().forward(padded)


class Block(nn.Module):
    """An inverted residual: widen, look around in each channel, narrow; with the way past it."""

    def __init__(self, inputs: int, stage: BlockStage, stride: int, drop: float) -> None:
        super().__init__()
        wide, kernel = inputs * stage.expansion, stage.kernel
        layers = _active(inputs, wide, 1) if stage.expansion > 1 else []
        layers += _active(wide, wide, kernel, stride, groups=wide)
        layers += _normalised(wide, stage.channels, 1)
        self.body = nn.Sequential(*layers)
        self.passes_by = stride == 1 and inputs == stage.channels
        self.drop = drop

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        if not self.passes_by:
            return y  # type: ignore[no-any-return]
        if self.training and self.drop:
            # Stochastic depth: whole blocks are left out, and the others count for more.
            kept = torch.rand(len(x), 1, 1, 1, device=x.device) >= self.drop
            y = y * kept / (1 - self.drop)
        return x + y  # type: ignore[no-any-return]


class Body(nn.Module):
    """Grey pictures `(B, 1, H, W)` to features `(B, F)`."""

    def __init__(self, size: ExpressionSize, drop: float = 0.2) -> None:
        super().__init__()
        total = sum(stage.blocks for stage in size.stages)
        blocks: list[nn.Module] = []
        inputs = size.stem
        for stage in size.stages:
            for number in range(stage.blocks):
                stride = stage.stride if number == 0 else 1
                blocks.append(Block(inputs, stage, stride, drop * len(blocks) / total))
                inputs = stage.channels
        self.stem = nn.Sequential(*_active(1, size.stem, 3, 2))
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Sequential(*_active(inputs, size.features, 1))
        self.width = size.features

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.stem(x))).mean(dim=(2, 3))  # type: ignore[no-any-return]


class ExpressionNetwork(nn.Module):
    """Words, valence and arousal of single faces."""

    def __init__(self, config: AffectConfig, dropout: float = 0.3) -> None:
        super().__init__()
        self.config = config
        self.body = Body(SIZES[config.size])
        self.dropout = nn.Dropout(dropout)
        self.words = _linear(self.body.width, len(EXPRESSIONS))
        self.place = _linear(self.body.width, 2)

    def forward(self, faces: Tensor) -> ExpressionOutput:
        """Turn grey faces `(B, 1, 96, 96)`, see `standardise`, into what they look like."""
        features = self.dropout(self.body(faces))
        return ExpressionOutput(self.words(features), torch.tanh(self.place(features)))


def standardise(faces: Tensor) -> Tensor:
    """Return grey faces `(B, 1, H, W)` in [0, 255], each of mean 0 and standard deviation about 1.

    Thus neither light nor contrast of a camera counts. The 8 grey levels keep a face without any
    contrast from becoming noise.
    """
    mean, deviation = faces.mean((2, 3), keepdim=True), faces.std((2, 3), keepdim=True)
    return (faces - mean) / (deviation + 8)


def _linear(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.normal_(layer.weight, 0, 0.01)
    nn.init.zeros_(layer.bias)
    return layer


def _normalised(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    conv = SameConv(inputs, outputs, kernel, stride, groups=groups, bias=False)
    # TensorFlow's epsilon and momentum: the published weights were trained with them.
    return [conv, nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.01)]


def _active(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    return [*_normalised(inputs, outputs, kernel, stride, groups), nn.ReLU6()]
