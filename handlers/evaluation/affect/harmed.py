"""What becomes of models when one modality goes bad: agreement kept, and where the gate moves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from handlers.evaluation.affect.agreement import Agreement, agreement, mean_agreement
from handlers.evaluation.affect.clips import FACE, Harm
from handlers.evaluation.affect.traces import Trace, Units, joined

SINGLES = ("vi-des", "au-des")
MOVE = 0.1  # of the gate, towards the healthy modality: the least that counts as noticing
STRETCH_S = 3.0  # as long as what is heard around one moment
ALL_HARMS = "all of these"


@dataclass(frozen=True, slots=True)
class Survival:
    """Models on clips with one modality destroyed; `better` is the single-modality model with the
    higher mean CCC there, and `margin` by how much each joined model is above it."""

    harm: str
    agreements: Mapping[str, Agreement]
    better: str | None
    margin: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class GateMove:
    """How a gate answers a harm that leaves the modality to be used.

    Clips are harmed as a whole and judged by stretches of about `STRETCH_S`. Over `stretches`
    where both modalities were used before and after: the mean move of the gate towards the healthy
    modality, and the share of them with a mean move of at least `MOVE`. `forced` stretches are left
    out: there the harm closed a side by itself.
    """

    model: str
    harm: str
    modality: str
    strength: str
    stretches: int
    forced: int
    move: float
    noticed: float


def survival(harm: str, models: Mapping[str, Units]) -> Survival:
    """Agreement of every model under a harm, and the joined ones against the better single one."""
    agreements = {
        name: mean_agreement(agreement(*joined(part)) for part in units.values())
        for name, units in models.items()
    }
    singles = {
        name: agreements[name].average.ccc
        for name in SINGLES
        if name in agreements and np.isfinite(agreements[name].average.ccc)
    }
    better = max(singles, key=singles.__getitem__) if singles else None
    margin = {
        name: found.average.ccc - singles[better]
        for name, found in agreements.items()
        if better is not None and name.startswith("avi-")
    }
    return Survival(harm, agreements, better, margin)


def gate_move(
    model: str, harm: Harm, healthy: Sequence[Trace], harmed: Sequence[Trace]
) -> GateMove:
    """Compare the gate on the same clips, healthy and harmed."""
    sign = -1.0 if harm.modality == FACE else 1.0
    moves, forced = [], 0
    for before, after in zip(healthy, harmed, strict=True):
        there = before.face & before.voice
        both = there & after.face & after.voice
        for part in stretches_of(before):
            if both[part].mean() < 0.5:
                forced += int(there[part].mean() >= 0.5)
            else:
                moved = (after.gate - before.gate)[part][both[part]]
                moves.append(sign * float(moved.mean()))
    values = np.array(moves)
    return GateMove(
        model,
        harm.name,
        harm.modality,
        harm.strength,
        len(moves),
        forced,
        float(values.mean()) if moves else float("nan"),
        float((values >= MOVE).mean()) if moves else float("nan"),
    )


def stretches_of(trace: Trace) -> list[slice]:
    """A clip in parts of equal length, about `STRETCH_S` each."""
    count = len(trace.times_s)
    seconds = count * float(np.diff(trace.times_s).mean()) if count > 1 else 0.0
    parts = max(min(round(seconds / STRETCH_S), count), 1)
    cuts = np.linspace(0, count, parts + 1).round().astype(int)
    return [slice(begin, end) for begin, end in pairwise(cuts.tolist())]


def together(moves: Sequence[GateMove]) -> GateMove:
    """The moves of one model under several harms as one; every stretch counts alike."""
    found = [move for move in moves if move.stretches]
    counts = [move.stretches for move in found]

    def mean(values: Sequence[float]) -> float:
        return float(np.average(values, weights=counts)) if counts else float("nan")

    return GateMove(
        moves[0].model,
        ALL_HARMS,
        "",
        "",
        sum(counts),
        sum(move.forced for move in moves),
        mean([move.move for move in found]),
        mean([move.noticed for move in found]),
    )
