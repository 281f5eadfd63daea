"""MTCNN, the face detector (Zhang et al. 2016): three networks, each stricter than the one before.

All take RGB as `(value - 127.5) / 128`. A *face score* is a probability in [0, 1]; box offsets
`(x1, y1, x2, y2)` are fractions of the box that was looked at; points are the eyes, the nose and
the corners of the mouth, as fractions of that box.
"""

import torch
from torch import Tensor, nn


def conv_prelu(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    """Return an unpadded convolution with one learned slope a channel."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel), nn.PReLU(outputs))


def linear_prelu(inputs: int, outputs: int) -> nn.Sequential:
    """Return a linear layer with one learned slope an output."""
    return nn.Sequential(nn.Linear(inputs, outputs), nn.PReLU(outputs))


def halve(kernel: int) -> nn.MaxPool2d:
    """Return the max-pooling by two that keeps the remainder at the right and bottom border."""
    return nn.MaxPool2d(kernel, 2, ceil_mode=True)


class ProposalNet(nn.Module):
    """P-Net: scores every 12 x 12 cell, two pixels apart, of a picture of any size."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            conv_prelu(3, 10, 3), halve(2), conv_prelu(10, 16, 3), conv_prelu(16, 32, 3)
        )
        self.face = nn.Conv2d(32, 2, 1)
        self.box = nn.Conv2d(32, 4, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Turn `(B, 3, H, W)` with sides of at least 12 into face scores `(B, h, w)`, offsets
        `(B, 4, h, w)`."""
        x = self.features(x)
        return face_score(self.face(x)), self.box(x)


class RefineNet(nn.Module):
    """R-Net: refines each proposal, at 24 x 24 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            conv_prelu(3, 28, 3), halve(3), conv_prelu(28, 48, 3), halve(3), conv_prelu(48, 64, 2)
        )
        self.embedding = linear_prelu(64 * 3 * 3, 128)
        self.face = nn.Linear(128, 2)
        self.box = nn.Linear(128, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Turn crops `(B, 3, 24, 24)` into face scores `(B,)`, offsets `(B, 4)`."""
        x = self.embedding(self.features(x).flatten(1))
        return face_score(self.face(x)), self.box(x)


class OutputNet(nn.Module):
    """O-Net: the last score and box, and five points, at 48 x 48 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            conv_prelu(3, 32, 3),
            halve(3),
            conv_prelu(32, 64, 3),
            halve(3),
            conv_prelu(64, 64, 3),
            halve(2),
            conv_prelu(64, 128, 2),
        )
        self.embedding = linear_prelu(128 * 3 * 3, 256)
        self.face = nn.Linear(256, 2)
        self.box = nn.Linear(256, 4)
        self.points = nn.Linear(256, 10)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Turn crops `(B, 3, 48, 48)` into face scores `(B,)`, offsets `(B, 4)`, points
        `(B, 5, 2)`."""
        x = self.embedding(self.features(x).flatten(1))
        points = self.points(x).reshape(-1, 2, 5).transpose(1, 2)
        return face_score(self.face(x)), self.box(x), points


class MTCNN(nn.Module):
    """The three networks as one module, so that one checkpoint holds them."""

    def __init__(self) -> None:
        super().__init__()
        self.proposal = ProposalNet()
        self.refine = RefineNet()
        self.output = OutputNet()


def face_score(logits: Tensor) -> Tensor:
    """Turn logits `(B, 2, ...)` of (no face, face) into the probability of a face `(B, ...)`."""
    return torch.sigmoid(logits[:, 1] - logits[:, 0])
