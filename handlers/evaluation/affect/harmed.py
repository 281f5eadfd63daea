"""What becomes of models when one modality goes bad: agreement kept, and where the gate moves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from handlers.evaluation.affect.agreement import Agreement, agreement, mean_agreement
from handlers.evaluation.affect.clips import FACE, Harm
from handlers.evaluation.affect.traces import Trace, Units, joined

SINGLES = ("vi-des", "au-des")
MOVE = 0.1  # of the gate, towards the healthy modality: the least that counts as noticing


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

    Over `stretches` clips where both modalities were used before and after: the mean move of the
    gate towards the healthy modality, and the share of them with a mean move of at least `MOVE`.
    `forced` clips are left out: there the harm closed a side by itself.
    """

    model: str
    harm: str
    modality: str
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
        both = before.face & before.voice & after.face & after.voice
        if both.mean() < 0.5:
            forced += int((before.face & before.voice).mean() >= 0.5)
            continue
        moves.append(sign * float((after.gate - before.gate)[both].mean()))
    values = np.array(moves)
    return GateMove(
        model,
        harm.name,
        harm.modality,
        len(moves),
        forced,
        float(values.mean()) if moves else float("nan"),
        float((values >= MOVE).mean()) if moves else float("nan"),
    )
