"""One model's answers for one clip, moment by moment, and what of them is compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handlers.evaluation.affect.clips import People
from handlers.processing.arrays import Bools, Doubles, Floats


@dataclass(frozen=True, eq=False)
class Trace:
    """Estimates of a clip of T moments.

    Attributes:
        clip: its name.
        people: who errs together, as the clip says.
        times_s: `(T,)`.
        labels: `(T, 2)` valence and arousal in [-1, 1], not a number where there is none.
        estimates: `(T, 2)` as labels, not a number where neither face nor voice could be used.
        weights: `(T, n)` attention over the states held, oldest first, 0 where none is held.
        gate: `(T,)`, 1 all face to 0 all voice; not a number for models without a gate.
        face, voice: `(T,)`, which were used.
    """

    clip: str
    people: People
    times_s: Doubles
    labels: Floats
    estimates: Floats
    weights: Floats
    gate: Floats
    face: Bools
    voice: Bools


# The traces of one model in every unit, a unit being a fold or a seed.
Units = Mapping[str, Sequence[Trace]]


def over_clip(trace: Trace) -> Trace:
    """One moment for a whole clip: the mean label against the mean estimate (an utterance).

    Who is named moment by moment is left out.
    """
    answered = np.isfinite(trace.estimates).any(axis=1)
    labels = trace.labels[np.isfinite(trace.labels).all(axis=1)]
    return Trace(
        trace.clip,
        {kind: name for kind, name in trace.people.items() if isinstance(name, str)},
        trace.times_s[:1],
        _mean(labels),
        _mean(trace.estimates[answered]),
        trace.weights[-1:],
        np.nanmean(trace.gate, keepdims=True) if np.isfinite(trace.gate).any() else trace.gate[:1],
        np.array([trace.face.any()]),
        np.array([trace.voice.any()]),
    )


def joined(traces: Sequence[Trace]) -> tuple[Floats, Floats]:
    """Estimates and labels `(N, 2)` of some traces, one after another."""
    empty = np.zeros((0, 2), np.float32)
    return (
        np.concatenate([empty, *(trace.estimates for trace in traces)]),
        np.concatenate([empty, *(trace.labels for trace in traces)]),
    )


def groups_of(traces: Sequence[Trace], kind: str) -> NDArray[np.intp]:
    """The number of the person, actor or clip (`kind`) that each moment of `joined` belongs to."""
    names = [
        np.broadcast_to(trace.people.get(kind, f"clip {trace.clip}"), len(trace.times_s))
        for trace in traces
    ]
    _, numbers = np.unique(np.concatenate([np.zeros(0, np.str_), *names]), return_inverse=True)
    return np.asarray(numbers, np.intp)


def _mean(values: Floats) -> Floats:
    """The mean of `(N, 2)` as `(1, 2)`; of none not a number."""
    if not len(values):
        return np.full((1, 2), np.nan, np.float32)
    return np.asarray(values.mean(axis=0, keepdims=True), np.float32)
