"""Chapter 5: D learnt alone, or G and the conditional D against each other (eq. 5.1-5.10)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import l1_loss, softplus

from handlers.networks.affect import ConditionalNetworks
from handlers.networks.discriminator import Verdict
from handlers.networks.latent import Generator
from handlers.training.affect.losses import agreement
from handlers.training.loop import Batch, Losses


@dataclass(frozen=True)
class Contest:
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
        """`seen` `(B, 3, 128, 128)`, `label` and `weight` `(B, 2)` -> the loss."""
        estimate: Tensor = self.networks(batch["seen"]).estimate
        loss = (batch["weight"] * (estimate - batch["label"]) ** 2).mean()
        return {"loss": loss, "affect": loss.detach()}


class ConditionalLearner(nn.Module):
    """Learns AEG-CD, or AEG-CD-SZ from batches that hear.

    D learns affect from true and made images (eq. 5.3, 5.4) while G stands still, and G learns to
    be taken for true, and for what it should be, by a D that stands still.
    """

    def __init__(self, networks: ConditionalNetworks, contest: Contest) -> None:
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
        """`seen` and `clean` `(B, 3, 128, 128)`, `label` and `weight` `(B, 2)`, and, for networks
        that hear, `heard` `(B, 50)` -> the losses; what is minimised stands under "loss"."""
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
        """D's losses on true images and on what G made, which moves D alone (eq. 5.9)."""
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
        judged = softplus(-on_true).mean() + softplus(on_made).mean()
        return {"affect": both / 2, "judged": judged}

    def making(self, batch: Batch, z: Tensor, cleaned: Tensor) -> Losses:
        """G's losses, D standing still, which moves G alone (eq. 5.2, 5.10)."""
        discriminator = self.networks.discriminator
        still = {name: value.detach() for name, value in discriminator.named_parameters()}
        given = (cleaned, z, batch.get("heard"))
        verdict: Verdict = functional_call(discriminator, still, given)
        rows = max(int(len(z) * self.contest.cycled), 1)
        again = self.generator(cleaned[:rows])[1].float()
        return {
            "fooled": softplus(-verdict.realness.float()).mean(),
            "pleased": estimate_loss(verdict.estimate, batch["label"], batch["weight"]),
            "picture": l1_loss(cleaned.float(), batch["clean"]),
            "cycle": l1_loss(again, batch["clean"][:rows]),
        }


def estimate_loss(estimates: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """RMSE + (1 - COR) + (1 - CCC) of `(N, 2)`, the mean over valence and arousal (eq. 5.5)."""
    found = agreement(estimates.float(), labels.float(), weights.float())
    return (found.rmse + (1 - found.cor) + (1 - found.ccc)).mean()
