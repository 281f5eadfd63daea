"""The losses of affect: what they vanish for, whom they move, and how samples count."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from handlers.networks.affect import AffectNetworks, build
from handlers.networks.variants import variant
from handlers.training.affect.latent import LatentLearner, Weighing
from handlers.training.affect.losses import affect_loss, agreement, class_weights, quadrant_loss


def test_the_affect_loss_vanishes_where_estimates_are_the_labels() -> None:
    labels = torch.rand(50, 2) * 2 - 1
    assert affect_loss(labels, labels, torch.ones(50, 2)) < 1e-2


def test_agreement_is_what_the_equations_say() -> None:
    labels = torch.rand(200, 2, generator=torch.manual_seed(0)) * 2 - 1
    estimates = 0.5 * labels + 0.2 + 0.1 * torch.randn(200, 2)
    found = agreement(estimates, labels, torch.ones(200, 2))
    x, y = estimates[:, 0].numpy(), labels[:, 0].numpy()
    covariance = np.mean((x - x.mean()) * (y - y.mean()))
    concordance = 2 * covariance / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)
    assert found.rmse[0] == pytest.approx(np.sqrt(np.mean((x - y) ** 2)), abs=1e-4)
    assert found.cor[0] == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-3)
    assert found.ccc[0] == pytest.approx(concordance, abs=1e-3)
    assert found.icc[0] == pytest.approx(2 * covariance / (x.var() + y.var()), abs=1e-3)


def test_a_sample_of_weight_two_counts_as_two() -> None:
    estimates, labels = torch.rand(6, 2), torch.rand(6, 2)
    weights = torch.ones(6, 2)
    weights[0] = 2
    doubled, both = (torch.cat([x, x[:1]]) for x in (estimates, labels))
    expected = affect_loss(doubled, both, torch.ones(7, 2))
    assert_close(affect_loss(estimates, labels, weights), expected)


@pytest.mark.parametrize(("power", "rare_counts"), [(1.0, "less"), (-1.0, "more"), (0.0, "same")])
def test_class_weights_follow_the_share_of_a_class(power: float, rare_counts: str) -> None:
    labels = np.array([[0.05, 0.05]] * 9 + [[0.9, 0.9]], np.float32)
    weights = class_weights(labels, power)
    assert weights.mean() == pytest.approx(1.0)
    common, rare = weights[0, 0], weights[-1, 0]
    assert {"less": rare < common, "more": rare > common, "same": rare == common}[rare_counts]


def test_quadrants_undecided_as_their_targets_cost_least() -> None:
    target = torch.full((1, 4), 0.25)
    assert quadrant_loss(torch.zeros(1, 4), target) < quadrant_loss(torch.eye(4)[:1] * 3, target)


def test_fooling_the_discriminator_moves_the_generator_alone() -> None:
    torch.manual_seed(0)
    networks = build(variant("vi-de", "tiny"))
    assert isinstance(networks, AffectNetworks)
    learner = LatentLearner(networks, Weighing())
    image = torch.rand(2, 3, 128, 128) * 2 - 1
    made = learner.branch.generator(image)[1]
    losses = learner._contest(image, made)
    losses["fooled"].backward()  # type: ignore[no-untyped-call]
    for parameter in learner.branch.discriminator.parameters():
        assert parameter.grad is None or float(parameter.grad.abs().max()) < 1e-6
    moved = [p.grad for p in learner.branch.generator.decoder.parameters() if p.grad is not None]
    assert max(float(grad.abs().max()) for grad in moved) > 1e-5
