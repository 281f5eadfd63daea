"""G, D and C of one modality learnt together, against each other (eq. 5.2, 5.9-5.10, 7.13)."""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import binary_cross_entropy, cross_entropy, l1_loss, softplus

from handlers.networks.affect import AffectNetworks, Branch, with_quadrants
from handlers.training.affect.losses import affect_loss, quadrant_loss
from handlers.training.datasets.affect.records import WORDS
from handlers.training.loop import Batch, Losses

FAR = 0.04  # mean difference to the clean input at which its health is 1 / e: five grey levels


@dataclass(frozen=True)
class Weighing:
    """Weights of the loss's parts beside the affect loss, which counts 1.

    `words` is an auxiliary loss that the thesis does not have: the emotion words that the weak
    labels come from, told by a linear layer on C's features that is thrown away afterwards. They
    say more about one sample than correlations over a batch do.
    `health` is another: how near an input is to the clean one, told from Z as a gate tells it, by
    a 1 x 1 convolution whose sigmoid is averaged. Without it G cleans so well that Z hides some
    degradations from the gate that is to lean away from them.
    `contest` is D's loss on true and made images: at 1 it drowned the quadrants in D's trunk.
    `judged` is the share of a batch on which G and D contend, `cycled` that on which G's output
    goes through G once more: both cost time, and neither needs every sample.
    """

    words: float = 0.5
    health: float = 4.0
    quadrant: float = 0.5
    picture: float = 1.0
    contest: float = 0.05
    adversarial: float = 0.02
    judged: float = 0.125
    cycle: float = 0.5
    cycled: float = 0.0625


class LatentLearner(nn.Module):
    """Learns one modality's single-frame networks from inputs as seen and as they should be."""

    def __init__(self, networks: AffectNetworks, weighing: Weighing) -> None:
        super().__init__()
        self.networks, self.weighing = networks, weighing
        (self.modality,) = networks.config.modalities
        self.words = nn.Linear(networks.combiner.feature_width, len(WORDS))
        self.health = nn.Conv2d(self.branch.generator.latent_channels, 1, 1)

    @property
    def branch(self) -> Branch:
        """G and D of the modality."""
        return cast(Branch, self.networks.branches[self.modality])

    def forward(self, batch: Batch, progress: float) -> Losses:
        """`seen` and `clean` `(B, 3, 128, 128)`, `label` and `weight` `(B, 2)`, `quadrant`
        `(B, 4)`, `words` `(B, 10)` where there are words -> the losses; "loss" is minimised."""
        branch, weighing = self.branch, self.weighing
        z, cleaned = branch.generator(batch["seen"])
        judgement = branch.discriminator(cleaned)
        features = self.networks.features(with_quadrants(z, judgement.quadrants))
        estimate = self.networks.step(features, {}).estimate
        losses = {
            "affect": affect_loss(estimate, batch["label"], batch["weight"]),
            "quadrant": quadrant_loss(judgement.quadrants, batch["quadrant"]),
            "health": self._health(z, batch["seen"], batch["clean"]),
            "picture": l1_loss(cleaned.float(), batch["clean"]),
        }
        rows = max(int(len(z) * weighing.judged), 1)
        losses |= self._contest(batch["clean"][:rows], cleaned[:rows])
        total = losses["affect"] + weighing.quadrant * losses["quadrant"]
        total = total + weighing.health * losses["health"]
        if "words" in batch:
            losses["words"] = cross_entropy(self.words(features).float(), batch["words"])
            total = total + weighing.words * losses["words"]
        total = total + weighing.picture * losses["picture"]
        total = total + weighing.contest * losses["judged"]
        total = total + weighing.adversarial * losses["fooled"]
        if weighing.cycled:
            losses["cycle"] = self._cycle(batch["clean"], cleaned)
            total = total + weighing.cycle * losses["cycle"]
        return {"loss": total, **losses}

    def _health(self, z: Tensor, seen: Tensor, clean: Tensor) -> Tensor:
        """Cross-entropy of what Z tells of an input's health: 1 as it should be, 0 far from it.

        Brightness or loudness as a whole does not count: nobody can tell what it should be.
        """
        change = (seen - clean).float()
        change = (change - change.mean(dim=(1, 2, 3), keepdim=True)).abs()
        healthy = torch.exp(-change.mean(dim=(1, 2, 3)) / FAR)
        told = torch.sigmoid(self.health(z).float()).mean(dim=(1, 2, 3))
        with torch.autocast(told.device.type, enabled=False):
            return binary_cross_entropy(told.clamp(1e-4, 1 - 1e-4), healthy)

    def _contest(self, real: Tensor, made: Tensor) -> Losses:
        """D's loss on true and made images, and G's for being found out by a D that holds still."""
        discriminator = self.branch.discriminator
        real = real.to(made.dtype)
        both: Tensor = discriminator(torch.cat([real, made.detach()])).realness.float()
        on_real, on_made = both.chunk(2)
        still = {name: value.detach() for name, value in discriminator.named_parameters()}
        again = functional_call(discriminator, still, (torch.cat([real, made]),)).realness.float()
        return {
            "judged": softplus(-on_real).mean() + softplus(on_made).mean(),
            "fooled": softplus(-again.chunk(2)[1]).mean(),
        }

    def _cycle(self, clean: Tensor, cleaned: Tensor) -> Tensor:
        """The cycle loss of eq. 5.2: G's output, through G again, is the clean image still."""
        rows = max(int(len(clean) * self.weighing.cycled), 1)
        return l1_loss(self.branch.generator(cleaned[:rows])[1].float(), clean[:rows])
