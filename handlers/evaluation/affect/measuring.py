"""Variants over the clips of every fold or seed to traces, healthy and harmed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from handlers.evaluation.affect.clips import DESTROYED, HARMS, LabelledClip
from handlers.evaluation.affect.harmed import GateMove, Survival, gate_move, survival
from handlers.evaluation.affect.portions import DECIDER, JOINED_ROWS
from handlers.evaluation.affect.running import run
from handlers.evaluation.affect.traces import Trace, Units, over_clip

if TYPE_CHECKING:
    from handlers.predictors.affect_estimator import Estimator

GATE_EVERY = 5  # the gate knows no time: every fifth moment of a harmed clip tells as much
UNUSED = "found neither face nor voice to use"


@dataclass(frozen=True, eq=False)
class Unit:
    """A fold or seed: where its models are, and the clips that they are measured on."""

    name: str
    store: Path
    clips: Sequence[LabelledClip]


@dataclass(eq=False)
class Measured:
    """Traces of every row in every unit, what became of them under harm, and who is left out."""

    models: dict[str, Units] = field(default_factory=dict)
    survivals: tuple[Survival, ...] = ()
    moves: tuple[GateMove, ...] = ()
    left_out: dict[str, str] = field(default_factory=dict)


def measure(
    names: Sequence[str],
    units: Sequence[Unit],
    load: "Callable[[Path, str], Estimator]",
    healthy: Sequence[LabelledClip] = (),
    *,
    whole: bool = False,
    done: Callable[[], None] = lambda: None,
) -> Measured:
    """Run every row in every unit.

    A row whose library is missing, or that can use nothing of the clips, is left out. With
    `healthy` clips the joined models and their single modalities are also run under harm.
    """
    from handlers.processing.audio_descriptors import MissingExtra

    found = Measured()
    destroyed: dict[str, dict[str, Units]] = {harm.name: {} for harm in DESTROYED}
    for name in names:
        try:
            estimators = {unit.name: load(unit.store, name) for unit in units}
        except MissingExtra as error:
            found.left_out[name] = str(error)
            continue
        traces: dict[str, list[Trace]] = {}
        for unit in units:
            traces[unit.name] = run(estimators[unit.name], unit.clips)
            done()
        if not any(np.isfinite(t.estimates).any() for part in traces.values() for t in part):
            found.left_out[name] = UNUSED
            continue
        found.models[name] = {
            unit: [over_clip(trace) for trace in part] if whole else part
            for unit, part in traces.items()
        }
        if healthy and name in JOINED_ROWS:
            for harm in DESTROYED:
                harmed = [harm(clip) for clip in healthy]
                destroyed[harm.name][name] = {u: run(e, harmed) for u, e in estimators.items()}
        if healthy and name == DECIDER:
            found.moves = gate_moves(name, list(estimators.values()), healthy)
    found.survivals = tuple(survival(name, part) for name, part in destroyed.items() if part)
    return found


def gate_moves(
    name: str, estimators: "Sequence[Estimator]", clips: Sequence[LabelledClip]
) -> tuple[GateMove, ...]:
    """The gate's moves under every harm, over the clips of all units."""
    thin = [clip.thinned(GATE_EVERY) for clip in clips]
    before = [trace for estimator in estimators for trace in run(estimator, thin)]
    found = []
    for harm in HARMS:
        harmed = [harm(clip) for clip in thin]
        after = [trace for estimator in estimators for trace in run(estimator, harmed)]
        found.append(gate_move(name, harm, before, after))
    return tuple(found)
