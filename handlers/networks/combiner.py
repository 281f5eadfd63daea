"""C: latent maps with quadrants, ZQ, to valence and arousal, alone or over time (Table A.3).

Two modalities' maps become one before: side by side (eq. 7.4) or through a gate (eq. 7.5-7.8).
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from handlers.networks.layers import halving_encoder

Memory = dict[str, Tensor]


class Fused(NamedTuple):
    """Maps for C `(B, planes, 32, 32)` and the gate's mean `(B,)`: 1 all face, 0 all voice."""

    planes: Tensor
    gate: Tensor | None


class Concatenation(nn.Module):
    """ZQ^C = [ZQ^I; ZQ^S] (eq. 7.4); the planes of a missing modality are zero."""

    def __init__(self, planes: int) -> None:
        super().__init__()
        self.planes = 2 * planes

    def forward(self, face: Tensor, voice: Tensor, has_face: Tensor, has_voice: Tensor) -> Fused:
        """Take ZQ of face and voice `(B, planes, 32, 32)`; which are there, `(B,)` bool each."""
        return Fused(torch.cat([_only(face, has_face), _only(voice, has_voice)], dim=1), None)


class GatedUnit(nn.Module):
    """The gated multimodal unit; all its weights are 1 x 1 convolutions.

    `wider` is how many times more planes come out than one modality has: with 2 the unit can keep
    both modalities apart, as side by side, and weigh them still.

    Where one modality is missing the gate is forced to the other's side, whatever it was given in
    the missing one's place; where both are, the maps are zero.
    """

    def __init__(self, planes: int, wider: int = 1) -> None:
        super().__init__()
        self.planes = wider * planes
        self.face = nn.Conv2d(planes, self.planes, 1)
        self.voice = nn.Conv2d(planes, self.planes, 1)
        self.gate = nn.Conv2d(2 * planes, self.planes, 1)

    def forward(self, face: Tensor, voice: Tensor, has_face: Tensor, has_voice: Tensor) -> Fused:
        """Take ZQ of face and voice `(B, planes, 32, 32)`; which are there, `(B,)` bool each."""
        face, voice = _only(face, has_face), _only(voice, has_voice)
        gate = torch.sigmoid(self.gate(torch.cat([face, voice], dim=1)))
        # In this order: where nothing is there the gate ends at 0, and the voice's maps are zero.
        gate = torch.where(_wide(has_voice), gate, torch.ones_like(gate))
        gate = torch.where(_wide(has_face), gate, torch.zeros_like(gate))
        h_v = _only(torch.tanh(self.face(face)), has_face)
        h_s = _only(torch.tanh(self.voice(voice)), has_voice)
        return Fused(gate * h_v + (1 - gate) * h_s, gate.float().mean(dim=(1, 2, 3)))


def _wide(present: Tensor) -> Tensor:
    return present[:, None, None, None]


def _only(maps: Tensor, present: Tensor) -> Tensor:
    """Zero the rows that are not there, even where these hold no numbers."""
    # A product with the mask would keep NaN.
    return torch.where(_wide(present), maps, torch.zeros_like(maps))


class StateAttention(nn.Module):
    """One scalar score for each past state, `softmax(W_a S)` (eq. 6.6, 7.11)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.score = nn.Linear(width, 1, bias=False)

    def forward(self, states: Tensor, held: Tensor) -> tuple[Tensor, Tensor]:
        """Take past states `(B, n, width)`, oldest first, of which the last `held` `(B,)` are
        there.

        Returns the context `(B, width)`, `sum(a * S) / held` as eq. 6.7 writes it, and the weights
        a `(B, n)`: 0 where no state is held, else of sum 1. Without states both are zero.
        """
        slots = torch.arange(states.shape[1], device=states.device)
        there = slots[None] >= states.shape[1] - held[:, None]
        scores = self.score(states).squeeze(-1).float()
        # The lowest number in place of minus infinity: a row without states would become NaN.
        weights = scores.masked_fill(~there, torch.finfo(torch.float32).min).softmax(dim=-1)
        weights = weights * there
        total = torch.einsum("bn,bnw->bw", weights, states.float())
        return total / held.clamp(min=1)[:, None], weights


def remember(states: Tensor, held: Tensor, newest: Tensor) -> tuple[Tensor, Tensor]:
    """Drop the oldest of `(B, n, width)`, append `newest` `(B, width)`; also the next `held`."""
    states = torch.cat([states[:, 1:], newest[:, None]], dim=1)
    return states, (held + 1).clamp(max=states.shape[1])


@dataclass(frozen=True)
class CombinerSize:
    """Channels of Conv1 to Conv5, which end in a 1 x 1 map, and the width of the LSTM.

    `normalised` puts batch normalisation behind the convolutions: the narrow C learns faster with
    it. `dropout` is that of the features while training.
    """

    channels: tuple[int, int, int, int, int]
    hidden: int
    normalised: bool = False
    dropout: float = 0.0


SIZES = {
    "thesis": CombinerSize((64, 128, 256, 512, 1024), 512),
    "compact": CombinerSize((64, 96, 128, 192, 256), 160, normalised=True, dropout=0.2),
    "tiny": CombinerSize((4, 4, 4, 4, 6), 5),
}


class Step(NamedTuple):
    """`estimate` `(B, 2)`, valence and arousal in [-1, 1]; `weights` `(B, n)` over the last n
    states, oldest first, 0 where none is held (n is 0 without attention); the next memory."""

    estimate: Tensor
    weights: Tensor
    memory: Memory


class Recurrence(nn.Module):
    """The LSTM of C and, with `states` n > 0, the attention over its last n states in front of it.

    The context enters as further inputs (eq. 6.8). Its weights stand apart and start at zero: the
    weights of a recurrence without attention fit one with it, which then answers as before.
    """

    def __init__(self, features: int, hidden: int, states: int) -> None:
        super().__init__()
        self.hidden, self.states = hidden, states
        self.inputs = nn.Linear(features, 4 * hidden)
        self.recurrent = nn.Linear(hidden, 4 * hidden, bias=False)
        nn.init.orthogonal_(self.recurrent.weight)
        with torch.no_grad():
            self.inputs.bias[hidden : 2 * hidden] += 1.0
        if states:
            self.attention = StateAttention(2 * hidden)
            self.context = nn.Linear(2 * hidden, 4 * hidden, bias=False)
            nn.init.zeros_(self.context.weight)

    def initial_memory(self, rows: int) -> Memory:
        """Return `h`, `c` `(B, hidden)`; with attention `states` `(B, n, 2 hidden)`, `held`
        `(B,)`."""
        like = self.recurrent.weight
        memory = {name: like.new_zeros(rows, self.hidden) for name in ("h", "c")}
        if self.states:
            memory["states"] = like.new_zeros(rows, self.states, 2 * self.hidden)
            memory["held"] = torch.zeros(rows, dtype=torch.long, device=like.device)
        return memory

    def step(self, projected: Tensor, memory: Memory) -> tuple[Tensor, Tensor, Memory]:
        """Turn `inputs(features)` `(B, 4 hidden)` into h `(B, hidden)`, attention weights, next
        memory."""
        gates = projected + self.recurrent(memory["h"])
        weights = gates.new_zeros(len(gates), 0)
        if self.states:
            context, weights = self.attention(memory["states"], memory["held"])
            gates = gates + self.context(context)
        entry, forget, candidate, output = gates.float().chunk(4, dim=-1)
        cell = forget.sigmoid() * memory["c"] + entry.sigmoid() * candidate.tanh()
        hidden = output.sigmoid() * cell.tanh()
        after = {"h": hidden, "c": cell}
        if self.states:
            newest = torch.cat([hidden, cell], dim=-1)
            after["states"], after["held"] = remember(memory["states"], memory["held"], newest)
        return hidden, weights, after


class Combiner(nn.Module):
    """C for maps of `planes` channels: single frames, sequences, sequences with attention.

    `recurrent` puts the LSTM between features and answer (eq. 6.4), `states` the attention over so
    many past states (eq. 6.8). The encoder's weights are named alike in all forms.
    """

    def __init__(self, size: CombinerSize, planes: int, recurrent: bool, states: int = 0) -> None:
        super().__init__()
        self.encoder = halving_encoder(planes, size.channels, size.normalised)
        self.dropout = nn.Dropout(size.dropout)
        self.feature_width = size.channels[-1]
        self.recurrence = Recurrence(self.feature_width, size.hidden, states) if recurrent else None
        self.answer = nn.Linear(size.hidden if recurrent else self.feature_width, 2)

    def features(self, planes: Tensor) -> Tensor:
        """Turn `(B, planes, 32, 32)` into `(B, feature_width)`; nothing of it depends on time."""
        return self.encoder(planes).flatten(1)  # type: ignore[no-any-return]

    def initial_memory(self, rows: int) -> Memory:
        """Return the memory of `rows` sequences at their start; empty for the single-frame form."""
        return {} if self.recurrence is None else self.recurrence.initial_memory(rows)

    def step(self, features: Tensor, memory: Memory) -> Step:
        """Step one frame of every sequence, from its features `(B, feature_width)`."""
        features = self.dropout(features)
        if self.recurrence is None:
            return Step(self._estimate(features), features.new_zeros(len(features), 0), {})
        hidden, weights, after = self.recurrence.step(self.recurrence.inputs(features), memory)
        return Step(self._estimate(hidden), weights, after)

    def sequence(self, features: Tensor, memory: Memory, present: Tensor | None = None) -> Step:
        """Run whole sequences: features `(B, T, feature_width)` -> a Step with an axis T behind B.

        Where `present` `(B, T)` bool is false the memory passes by the frame untouched, as in
        serving when neither face nor voice can be used; its estimate means nothing.
        """
        if self.recurrence is None:
            features = self.dropout(features)
            return Step(self._estimate(features), features.new_zeros(*features.shape[:2], 0), {})
        # Ahead of the loop: one product over all frames takes the place of T small ones.
        projected = self.recurrence.inputs(self.dropout(features))
        outputs, weights = [], []
        for t in range(features.shape[1]):
            hidden, weight, after = self.recurrence.step(projected[:, t], memory)
            memory = after if present is None else choose(present[:, t], after, memory)
            outputs.append(hidden)
            weights.append(weight)
        estimate = self._estimate(torch.stack(outputs, dim=1))
        return Step(estimate, torch.stack(weights, dim=1), memory)

    def _estimate(self, features: Tensor) -> Tensor:
        return torch.tanh(self.answer(features).float())


def choose(rows: Tensor, one: Memory, other: Memory) -> Memory:
    """Choose memories row by row: of `one` where `rows` `(B,)` is true, else of `other`."""
    return {
        name: torch.where(rows.reshape(-1, *[1] * (one[name].ndim - 1)), one[name], other[name])
        for name in one
    }
