"""Traces and agreements to try the evaluation of affect with."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from handlers.evaluation.affect.agreement import Agreement, agreement
from handlers.evaluation.affect.clips import People
from handlers.evaluation.affect.traces import Trace

Floats = NDArray[np.float32]
NAN = math.nan


def pair(estimates: Sequence[float], labels: Sequence[float]) -> Agreement:
    """Valence from one list of estimates and labels; arousal is its mirror image."""
    x, y = (
        np.array([values, [-v for v in values]], np.float32).T for values in (estimates, labels)
    )
    return agreement(x, y)


def trace(
    estimates: Sequence[float],
    labels: Sequence[float],
    people: People | None = None,
    clip: str = "clip",
    weights: Floats | None = None,
    gate: Sequence[float] | None = None,
) -> Trace:
    """A trace whose arousal is half its valence."""
    count = len(labels)
    both = np.array([1.0, 0.5], np.float32)
    return Trace(
        clip,
        people or {},
        np.arange(count) / 25,
        np.array(labels, np.float32)[:, None] * both,
        np.array(estimates, np.float32)[:, None] * both,
        np.zeros((count, 0), np.float32) if weights is None else weights,
        np.full(count, NAN, np.float32) if gate is None else np.array(gate, np.float32),
        np.ones(count, np.bool_),
        np.ones(count, np.bool_),
    )
