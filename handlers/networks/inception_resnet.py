"""Inception-ResNet-v1 (Szegedy et al. 2016): the backbone of FLL and BT, eq. 2.3, 2.5 and 3.7."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class InceptionSize:
    """`width` multiplies every channel count of the paper; `blocks` counts A, B and C blocks."""

    width: float
    blocks: tuple[int, int, int]


SIZES = {
    "thesis": InceptionSize(1.0, (5, 10, 5)),
    "compact": InceptionSize(0.375, (2, 3, 1)),
    "small": InceptionSize(0.25, (1, 2, 1)),
    "tiny": InceptionSize(0.0625, (1, 1, 1)),
}


def conv(
    inputs: int, outputs: int, kernel: int | tuple[int, int], stride: int = 1
) -> nn.Sequential:
    """Return a padded convolution, batch normalisation and ReLU.

    The paper leaves some convolutions unpadded; here all are padded, so that maps of a 128-pixel
    face measure 32, 16, 8 and 4 and stay aligned with the picture.
    """
    shape = (kernel, kernel) if isinstance(kernel, int) else kernel
    padding = (shape[0] // 2, shape[1] // 2)
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, shape, stride, padding, bias=False),
        nn.BatchNorm2d(outputs, eps=1e-3),
        nn.ReLU(),
    )


class InceptionBlock(nn.Module):
    """r + scale * F(r, W) (eq. 2.5): branches, joined and projected, added to the input."""

    def __init__(self, channels: int, branches: list[nn.Module], joined: int, scale: float) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.project = nn.Conv2d(joined, channels, 1)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        joined = torch.cat([branch(x) for branch in self.branches], dim=1)
        # Scaled down as in the paper: whole residuals make the training of deep stacks unstable.
        return torch.relu(x + self.scale * self.project(joined))


class Reduction(nn.Module):
    """Parallel strided branches and a max-pooling, side by side: half the size, more channels."""

    def __init__(self, branches: list[nn.Module]) -> None:
        super().__init__()
        self.branches = nn.ModuleList([*branches, nn.MaxPool2d(3, 2, 1)])

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class InceptionResNet(nn.Module):
    """Feature maps of a face at strides 4, 8, 16 and 32; `size` is one of `SIZES`.

    At the thesis's size the last map has 1792 channels.
    """

    def __init__(self, size: str) -> None:
        super().__init__()
        spec = SIZES[size]

        def width(channels: int) -> int:
            return max(round(channels * spec.width / 4), 1) * 4

        self.stem = nn.Sequential(
            conv(3, width(32), 3, 2), conv(width(32), width(32), 3), conv(width(32), width(64), 3)
        )
        self.shallow = nn.Sequential(
            nn.MaxPool2d(3, 2, 1), conv(width(64), width(80), 1), conv(width(80), width(192), 3)
        )
        blocks_a, blocks_b, blocks_c = spec.blocks
        a = width(256)
        self.middle = nn.Sequential(
            conv(width(192), a, 3, 2), *(block_a(a, width(32)) for _ in range(blocks_a))
        )
        b = a + width(384) + width(256)
        self.deep = nn.Sequential(
            Reduction(
                [
                    conv(a, width(384), 3, 2),
                    nn.Sequential(
                        conv(a, width(192), 1),
                        conv(width(192), width(192), 3),
                        conv(width(192), width(256), 3, 2),
                    ),
                ]
            ),
            *(block_b(b, width(128)) for _ in range(blocks_b)),
        )
        c = b + width(384) + 2 * width(256)
        self.deepest = nn.Sequential(
            Reduction(
                [
                    nn.Sequential(conv(b, width(256), 1), conv(width(256), width(384), 3, 2)),
                    nn.Sequential(conv(b, width(256), 1), conv(width(256), width(256), 3, 2)),
                    nn.Sequential(
                        conv(b, width(256), 1),
                        conv(width(256), width(256), 3),
                        conv(width(256), width(256), 3, 2),
                    ),
                ]
            ),
            *(block_c(c, width(192)) for _ in range(blocks_c)),
        )
        self.channels = (width(192), a, b, c)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Turn `(B, 3, H, W)` in [-1, 1] into four maps
        `(B, C_i, H / 2^(i + 2), W / 2^(i + 2))`."""
        shallow = self.shallow(self.stem(x))
        middle = self.middle(shallow)
        deep = self.deep(middle)
        return [shallow, middle, deep, self.deepest(deep)]


def block_a(channels: int, width: int) -> InceptionBlock:
    """Return Inception-ResNet-A (35 x 35 in the paper)."""
    branches: list[nn.Module] = [
        conv(channels, width, 1),
        nn.Sequential(conv(channels, width, 1), conv(width, width, 3)),
        nn.Sequential(conv(channels, width, 1), conv(width, width, 3), conv(width, width, 3)),
    ]
    return InceptionBlock(channels, branches, 3 * width, scale=0.17)


def block_b(channels: int, width: int) -> InceptionBlock:
    """Return Inception-ResNet-B (17 x 17 in the paper)."""
    branches: list[nn.Module] = [
        conv(channels, width, 1),
        nn.Sequential(
            conv(channels, width, 1), conv(width, width, (1, 7)), conv(width, width, (7, 1))
        ),
    ]
    return InceptionBlock(channels, branches, 2 * width, scale=0.10)


def block_c(channels: int, width: int) -> InceptionBlock:
    """Return Inception-ResNet-C (8 x 8 in the paper)."""
    branches: list[nn.Module] = [
        conv(channels, width, 1),
        nn.Sequential(
            conv(channels, width, 1), conv(width, width, (1, 3)), conv(width, width, (3, 1))
        ),
    ]
    return InceptionBlock(channels, branches, 2 * width, scale=0.20)
