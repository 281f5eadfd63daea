"""D: is an image true or made by G, and in which quadrant lies its affect (Table A.2)."""

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn

from handlers.networks.layers import SLOPE, halving_encoder
from handlers.networks.variants import QUADRANTS


@dataclass(frozen=True)
class DiscriminatorSize:
    """Channels of Conv1 to Conv5 and of the two heads' 3 x 3 convolutions.

    `normalised` puts batch normalisation behind the convolutions: without it the narrow one learnt
    neither the quadrants nor valence and arousal.
    """

    channels: tuple[int, int, int, int, int]
    head: int
    normalised: bool = False


SIZES = {
    "thesis": DiscriminatorSize((64, 128, 256, 512, 1024), 512),
    "compact": DiscriminatorSize((12, 24, 48, 64, 96), 48, normalised=True),
    "tiny": DiscriminatorSize((2, 2, 4, 4, 4), 4),
}


class Judgement(NamedTuple):
    """Logits: `realness` `(B, 1, 4, 4)`, a map over patches; `quadrants` `(B, 4)` as QUADRANTS."""

    realness: Tensor
    quadrants: Tensor


class Discriminator(nn.Module):
    """The quadrant discriminator of eq. 6.2 and 7.2."""

    def __init__(self, size: DiscriminatorSize) -> None:
        super().__init__()
        self.encoder = halving_encoder(3, size.channels, size.normalised)
        self.realness = head(size.channels[-1], size.head, 1)
        self.quadrant = head(size.channels[-1], size.head, len(QUADRANTS))

    def quadrants(self, image: Tensor) -> Tensor:
        """Logits `(B, 4)` alone, which is what serving needs."""
        return self.quadrant(self.encoder(image)).mean(dim=(2, 3))  # type: ignore[no-any-return]

    def forward(self, image: Tensor) -> Judgement:
        """`(B, 3, 128, 128)` in [-1, 1] -> both heads' logits."""
        maps = self.encoder(image)
        return Judgement(self.realness(maps), self.quadrant(maps).mean(dim=(2, 3)))


def head(inputs: int, width: int, outputs: int) -> nn.Sequential:
    """Conv61 or Conv62 with LeakyReLU, and the 1 x 1 convolution that ends it."""
    return nn.Sequential(
        nn.Conv2d(inputs, width, 3, padding=1), nn.LeakyReLU(SLOPE), nn.Conv2d(width, outputs, 1)
    )
