"""Discriminators: D of the latent networks, and the conditional ones of chapter 5."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from handlers.networks.latent import INPUT_PX
from handlers.networks.layers import SLOPE, halving_encoder
from handlers.networks.variants import QUADRANTS

# The convolutions, of five, that bring a picture to the 32 x 32 pixels of Z.
BEFORE_LATENT = 2


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
        """Return logits `(B, 4)` alone, which is what serving needs."""
        return self.quadrant(self.encoder(image)).mean(dim=(2, 3))  # type: ignore[no-any-return]

    def forward(self, image: Tensor) -> Judgement:
        """Turn `(B, 3, 128, 128)` in [-1, 1] into both heads' logits."""
        maps = self.encoder(image)
        return Judgement(self.realness(maps), self.quadrant(maps).mean(dim=(2, 3)))


def head(inputs: int, width: int, outputs: int) -> nn.Sequential:
    """Build Conv61 or Conv62 with LeakyReLU, and the 1 x 1 convolution behind it."""
    return nn.Sequential(
        nn.Conv2d(inputs, width, 3, padding=1), nn.LeakyReLU(SLOPE), nn.Conv2d(width, outputs, 1)
    )


@dataclass(frozen=True)
class DiscriminatorInputs:
    """Inputs of the discriminator beside the picture.

    `latent` counts the channels of Z (0: none), `descriptors` the sound's numbers (0: none), and
    `sound_px` is the side of the square plane that these are turned into.
    """

    latent: int = 0
    descriptors: int = 0
    sound_px: int = INPUT_PX


class Verdict(NamedTuple):
    """`realness` `(B, 1, 4, 4)` logits over patches; `estimate` `(B, 2)` in [-1, 1]."""

    realness: Tensor
    estimate: Tensor


class ConditionalDiscriminator(nn.Module):
    """CD (5.3.2): Disc with neither condition, AEG-CD behind G, AEG-CD-SZ with both.

    The descriptors go through a linear layer into a fourth input plane, Z joins the maps of its own
    side behind the second convolution.
    """

    def __init__(self, size: DiscriminatorSize, condition: DiscriminatorInputs) -> None:
        super().__init__()
        self.condition = condition
        self.sound = (
            nn.Linear(condition.descriptors, condition.sound_px**2)
            if condition.descriptors
            else None
        )
        first, last = size.channels[:BEFORE_LATENT], size.channels[BEFORE_LATENT:]
        self.early = halving_encoder(4 if condition.descriptors else 3, first, size.normalised)
        self.late = halving_encoder(first[-1] + condition.latent, last, size.normalised)
        self.realness = head(last[-1], size.head, 1)
        self.affect = head(last[-1], size.head, 2)

    def forward(
        self, image: Tensor, latent: Tensor | None = None, descriptors: Tensor | None = None
    ) -> Verdict:
        """Take `(B, 3, 128, 128)` in [-1, 1], Z `(B, latent, 32, 32)`, descriptors
        `(B, descriptors)`.

        What the condition does not ask for is not looked at.
        """
        x = self.early(torch.cat([image, *self._sound_plane(descriptors)], dim=1))
        if self.condition.latent:
            if latent is None:
                raise ValueError("this discriminator is conditioned on G's latent map")
            x = torch.cat([x, latent], dim=1)
        maps = self.late(x)
        estimate = self.affect(maps).mean(dim=(2, 3)).float()
        return Verdict(self.realness(maps), torch.tanh(estimate))

    def _sound_plane(self, descriptors: Tensor | None) -> list[Tensor]:
        if self.sound is None:
            return []
        if descriptors is None:
            raise ValueError("this discriminator is conditioned on descriptors of the sound")
        side = self.condition.sound_px
        plane = self.sound(descriptors).reshape(-1, 1, side, side)
        return [interpolate(plane, size=(INPUT_PX, INPUT_PX))]
