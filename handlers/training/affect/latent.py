"""Learners of single frames.

G, D and C of one modality learn against each other (eq. 5.2, 5.9-5.10, 7.13); in chapter 5 D learns
alone or against G (eq. 5.1-5.10).
"""

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import binary_cross_entropy, cross_entropy, l1_loss, softplus

from handlers.networks.affect import AffectNetworks, Branch, ConditionalNetworks, with_quadrants
from handlers.networks.discriminator import Verdict
from handlers.networks.latent import Generator
from handlers.training.affect.losses import affect_loss, agreement, quadrant_loss
from handlers.training.datasets.affect.records import WORDS
from handlers.training.loop import Batch, Losses

FAR = 0.04  # mean difference to the clean input at which its health is 1 / e: five grey levels


@dataclass(frozen=True)
class LatentLossWeights:
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

    def __init__(self, networks: AffectNetworks, weighing: LatentLossWeights) -> None:
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
        """Return the losses, of which "loss" is minimised, of `seen` and `clean`
        `(B, 3, 128, 128)`, `label` and `weight` `(B, 2)`, `quadrant` `(B, 4)` and, where there
        are words, `words` `(B, 10)`."""
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
        """Return the cross-entropy of what Z tells of an input's health: 1 as it should be, 0 far
        from it.

        Brightness or loudness as a whole does not count: nobody can tell what it should be.
        """
        change = (seen - clean).float()
        change = (change - change.mean(dim=(1, 2, 3), keepdim=True)).abs()
        healthy = torch.exp(-change.mean(dim=(1, 2, 3)) / FAR)
        told = torch.sigmoid(self.health(z).float()).mean(dim=(1, 2, 3))
        with torch.autocast(told.device.type, enabled=False):
            return binary_cross_entropy(told.clamp(1e-4, 1 - 1e-4), healthy)

    def _contest(self, real: Tensor, made: Tensor) -> Losses:
        """Return D's loss on true and made images, and G's for being found out by a D that holds
        still."""
        discriminator = self.branch.discriminator
        real = real.to(made.dtype)
        both: Tensor = discriminator(torch.cat([real, made.detach()])).realness.float()
        on_real, on_made = both.chunk(2)
        again = held_still(discriminator, torch.cat([real, made])).realness.float()
        return {
            "judged": judged_loss(on_real, on_made),
            "fooled": fooled_loss(again.chunk(2)[1]),
        }

    def _cycle(self, clean: Tensor, cleaned: Tensor) -> Tensor:
        """Return the cycle loss of eq. 5.2: G's output, through G again, is the clean image
        still."""
        rows = max(int(len(clean) * self.weighing.cycled), 1)
        return l1_loss(self.branch.generator(cleaned[:rows])[1].float(), clean[:rows])


@dataclass(frozen=True)
class ConditionalLossWeights:
    """Weights of the losses' parts beside D's affect loss, which counts 1.

    `judged` is D's loss on true and made images, `fooled` G's for being found out (eq. 5.1);
    `pleased` is lambda_afc of eq. 5.10, G's affect loss through D, and `cycle` its lambda_rec.
    `picture` is G's loss for its output of one pass, which the thesis does not have: the cycle loss
    alone is also small where two passes undo each other. `cycled` is the share of a batch that goes
    through G once more.
    """

    judged: float = 0.05
    fooled: float = 0.02
    pleased: float = 0.5
    picture: float = 1.0
    cycle: float = 0.5
    cycled: float = 0.0625


class PlainLearner(nn.Module):
    """Learns Disc: D without G, by the squared error alone (5.4.1)."""

    def __init__(self, networks: ConditionalNetworks) -> None:
        super().__init__()
        self.networks = networks

    def forward(self, batch: Batch, progress: float) -> Losses:
        """Turn `seen` `(B, 3, 128, 128)`, `label` and `weight` `(B, 2)` into the loss."""
        estimate: Tensor = self.networks(batch["seen"]).estimate
        loss = (batch["weight"] * (estimate - batch["label"]) ** 2).mean()
        return {"loss": loss, "affect": loss.detach()}


class ConditionalLearner(nn.Module):
    """Learns AEG-CD, or AEG-CD-SZ from batches that hear.

    D learns affect from true and made images (eq. 5.3, 5.4) while G stands still, and G learns to
    be taken for true, and for what it should be, by a D that stands still.
    """

    def __init__(self, networks: ConditionalNetworks, contest: ConditionalLossWeights) -> None:
        super().__init__()
        if networks.generator is None:
            raise ValueError("these networks have no G to contend with")
        self.networks, self.contest = networks, contest

    @property
    def generator(self) -> Generator:
        """G."""
        assert self.networks.generator is not None
        return self.networks.generator

    def forward(self, batch: Batch, progress: float) -> Losses:
        """Return the losses, of which "loss" is minimised, of `seen` and `clean`
        `(B, 3, 128, 128)`, `label` and `weight` `(B, 2)` and, for networks that hear, `heard`
        `(B, 50)`."""
        z, cleaned = self.generator(batch["seen"])
        losses = self.judging(batch, z, cleaned) | self.making(batch, z, cleaned)
        counts = {
            "affect": 1.0,
            "judged": self.contest.judged,
            "fooled": self.contest.fooled,
            "pleased": self.contest.pleased,
            "picture": self.contest.picture,
            "cycle": self.contest.cycle,
        }
        total = torch.stack([count * losses[name] for name, count in counts.items()]).sum()
        return {"loss": total, **losses}

    def judging(self, batch: Batch, z: Tensor, cleaned: Tensor) -> Losses:
        """Return D's losses on true images and on what G made, which moves D alone (eq. 5.9)."""
        clean, label, weight = batch["clean"], batch["label"], batch["weight"]
        images = torch.cat([clean.to(cleaned.dtype), cleaned.detach()])
        latent = heard = None
        if self.networks.config.conditioned:
            latent = torch.cat([self.generator.encode(clean), z]).detach()
            heard = torch.cat([batch["heard"], batch["heard"]])
        verdict: Verdict = self.networks.discriminator(images, latent, heard)
        on_true, on_made = verdict.realness.float().chunk(2)
        true, made = verdict.estimate.chunk(2)
        both = estimate_loss(true, label, weight) + estimate_loss(made, label, weight)
        return {"affect": both / 2, "judged": judged_loss(on_true, on_made)}

    def making(self, batch: Batch, z: Tensor, cleaned: Tensor) -> Losses:
        """Return G's losses, D standing still, which moves G alone (eq. 5.2, 5.10)."""
        verdict: Verdict = held_still(self.networks.discriminator, cleaned, z, batch.get("heard"))
        rows = max(int(len(z) * self.contest.cycled), 1)
        again = self.generator(cleaned[:rows])[1].float()
        return {
            "fooled": fooled_loss(verdict.realness.float()),
            "pleased": estimate_loss(verdict.estimate, batch["label"], batch["weight"]),
            "picture": l1_loss(cleaned.float(), batch["clean"]),
            "cycle": l1_loss(again, batch["clean"][:rows]),
        }


def estimate_loss(estimates: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Return RMSE + (1 - COR) + (1 - CCC) of `(N, 2)`, the mean over valence and arousal
    (eq. 5.5)."""
    found = agreement(estimates.float(), labels.float(), weights.float())
    return (found.rmse + (1 - found.cor) + (1 - found.ccc)).mean()


def held_still(discriminator: nn.Module, *given: Tensor | None) -> Any:
    """Return D's answer through weights that learn nothing; gradients reach what is `given`."""
    still = {name: value.detach() for name, value in discriminator.named_parameters()}
    return functional_call(discriminator, still, given)


def judged_loss(on_true: Tensor, on_made: Tensor) -> Tensor:
    """Return D's cross-entropy from its logits of true and made images (eq. 5.1)."""
    return softplus(-on_true).mean() + softplus(on_made).mean()


def fooled_loss(on_made: Tensor) -> Tensor:
    """Return G's loss for being found out, which does not saturate where D is sure (eq. 5.1)."""
    return softplus(-on_made).mean()
