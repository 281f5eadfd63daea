"""Chapter 5: the discriminator that estimates affect itself, given latent map and sound."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from handlers.networks.discriminator import DiscriminatorSize, head
from handlers.networks.latent import INPUT_PX
from handlers.networks.layers import halving_encoder

# How many of the five convolutions bring a picture to the 32 x 32 pixels of Z.
BEFORE_LATENT = 2


@dataclass(frozen=True)
class Condition:
    """What the discriminator is given beside the picture.

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

    def __init__(self, size: DiscriminatorSize, condition: Condition) -> None:
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
        """`(B, 3, 128, 128)` in [-1, 1], Z `(B, latent, 32, 32)`, descriptors `(B, descriptors)`.

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
