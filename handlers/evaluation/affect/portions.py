"""Accuracy where attention or the gate is decided: Tables 7.3-7.4, 7.7-7.8 and 7.9-7.10."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from handlers.evaluation.affect.agreement import Agreement, Score, agreement, mean_agreement
from handlers.evaluation.affect.clips import Trace, Units, joined
from handlers.processing.arrays import Bools, Floats

ATTENTION, GATE = "attention", "gate"
SPREADS = (0.125, 0.25, 0.5)
GATES = (0.25, 0.125, 0.0625)
SINGLE_PAIRS = (("vi-de", "vi-des"), ("au-de", "au-des"))
JOINED_ROWS = ("vi-des", "au-des", "avi-cas", "avi-gas")
DECIDER = "avi-gas"


@dataclass(frozen=True, slots=True)
class Gain:
    """The lead of a model over another: by which fraction of the other's RMSE its own is
    lower, and of the other's COR higher; valence, then arousal."""

    rmse: tuple[float, float]
    cor: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Portion:
    """One model where `decider`'s attention spreads over, or its gate lies beyond, a level.

    `share` is that part of the labelled moments. Among the joined models `gain` is that of the
    decider over this one; of a single modality's pair it is the decider's over the other. None
    where the thesis has none.
    """

    quantity: str
    decider: str
    level: float
    model: str
    share: float
    agreement: Agreement
    gain: Gain | None


def spread(trace: Trace) -> Floats:
    """Return the largest weight minus the smallest, of the states held, at every moment `(T,)`.

    Weights add up to 1, so it is a share of all attention (section 7.4.2). Moments with fewer
    than two states have none: not a number.
    """
    held = trace.weights > 0
    top = trace.weights.max(axis=1, initial=0.0)
    low = np.where(held, trace.weights, np.inf).min(axis=1, initial=np.inf)
    return np.asarray(np.where(held.sum(axis=1) > 1, top - low, np.nan), np.float32)


def undecided(trace: Trace) -> Floats:
    """Return the gate's distance from the nearer end, 0 to 0.5, `(T,)` (section 7.4.3)."""
    return np.asarray(np.minimum(trace.gate, 1 - trace.gate), np.float32)


def attention_portions(models: Mapping[str, Units]) -> list[Portion]:
    """Return single modalities by their own attention, then all sequence models by the
    gated one's."""
    found = []
    for single, sequence in SINGLE_PAIRS:
        if {single, sequence} <= models.keys():
            found += _portions(ATTENTION, SPREADS, sequence, (single, sequence), models)
    return found + _joined(ATTENTION, SPREADS, models)


def gate_portions(models: Mapping[str, Units]) -> list[Portion]:
    """Return all sequence models where the gate lies below a level, or above one minus it."""
    return _joined(GATE, GATES, models)


def _joined(quantity: str, levels: Sequence[float], models: Mapping[str, Units]) -> list[Portion]:
    rows = [name for name in JOINED_ROWS if name in models]
    return _portions(quantity, levels, DECIDER, rows, models) if DECIDER in rows else []


def _portions(
    quantity: str,
    levels: Sequence[float],
    decider: str,
    rows: Sequence[str],
    models: Mapping[str, Units],
) -> list[Portion]:
    found = []
    for level in levels:
        chosen = {
            unit: [_chosen(quantity, level, trace) for trace in part]
            for unit, part in models[decider].items()
        }
        within = {name: _within(models[name], chosen) for name in rows}
        for name, (here, share) in within.items():
            ahead = within[decider][0]
            gain = None if name == decider else gain_over(ahead, here)
            if decider != DECIDER:
                gain = gain_over(ahead, within[rows[0]][0]) if name == decider else None
            found.append(Portion(quantity, decider, level, name, share, here, gain))
    return found


def _chosen(quantity: str, level: float, trace: Trace) -> Bools:
    """Return the moments that count, `(T,)`; what is not a number does not."""
    return spread(trace) > level if quantity == ATTENTION else undecided(trace) < level


def _within(units: Units, chosen: Mapping[str, Sequence[Bools]]) -> tuple[Agreement, float]:
    """Return the mean agreement over the units at the chosen moments, and their share."""
    agreements, counts = [], np.zeros(2)
    for unit, part in units.items():
        flags = np.concatenate([np.zeros(0, np.bool_), *chosen[unit]])
        estimates, labels = joined(part)
        labelled = np.isfinite(labels).all(axis=1)
        counts += (flags & labelled).sum(), labelled.sum()
        agreements.append(agreement(estimates[flags], labels[flags]))
    return mean_agreement(agreements), float(counts[0] / counts[1]) if counts[1] else np.nan


def gain_over(ahead: Agreement, behind: Agreement) -> Gain:
    """Compute the gain of `ahead` over `behind`, as the thesis's columns GAIN."""

    def each(of: Callable[[Score, Score], float]) -> tuple[float, float]:
        return of(ahead.valence, behind.valence), of(ahead.arousal, behind.arousal)

    return Gain(
        each(lambda one, other: _ratio(other.rmse - one.rmse, other.rmse)),
        each(lambda one, other: _ratio(one.cor - other.cor, abs(other.cor))),
    )


def _ratio(difference: float, of: float) -> float:
    return difference / of if of else float("nan")
