"""Tiny affect networks with random weights, and noise to show them."""

import torch
from torch import Tensor

from handlers.networks.affect import AffectNetworks, build
from handlers.networks.variants import variant


def noise(*shape: int, seed: int = 1) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def networks(name: str) -> AffectNetworks:
    torch.manual_seed(0)
    built = build(variant(name, "tiny")).eval()
    assert isinstance(built, AffectNetworks)
    if built.config.states:
        torch.nn.init.normal_(built.combiner.recurrence.context.weight)  # type: ignore[union-attr]
    return built
