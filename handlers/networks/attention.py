"""Which of the last n states of a sequence matter now: attention over S = [h; c] (eq. 6.5-6.7)."""

import torch
from torch import Tensor, nn


class StateAttention(nn.Module):
    """One scalar score for each past state, `softmax(W_a S)` (eq. 6.6, 7.11)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.score = nn.Linear(width, 1, bias=False)

    def forward(self, states: Tensor, held: Tensor) -> tuple[Tensor, Tensor]:
        """Past states `(B, n, width)`, oldest first, of which the last `held` `(B,)` are there.

        Returns the context `(B, width)`, `sum(a * S) / held` as eq. 6.7 writes it, and the weights
        a `(B, n)`: 0 where no state is held, else of sum 1. Without states both are zero.
        """
        slots = torch.arange(states.shape[1], device=states.device)
        there = slots[None] >= states.shape[1] - held[:, None]
        scores = self.score(states).squeeze(-1).float()
        weights = scores.masked_fill(~there, torch.finfo(torch.float32).min).softmax(dim=-1)
        weights = weights * there
        total = torch.einsum("bn,bnw->bw", weights, states.float())
        return total / held.clamp(min=1)[:, None], weights


def remember(states: Tensor, held: Tensor, newest: Tensor) -> tuple[Tensor, Tensor]:
    """Drop the oldest of `(B, n, width)`, append `newest` `(B, width)`; also the next `held`."""
    states = torch.cat([states[:, 1:], newest[:, None]], dim=1)
    return states, (held + 1).clamp(max=states.shape[1])
