"""Variants over the clips of every fold or seed to traces, healthy and harmed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from handlers.evaluation.affect.clips import DESTROYED, HARMS, Harm, LabelledClip
from handlers.evaluation.affect.harmed import (
    Change,
    Channel,
    GateMove,
    Survival,
    changes,
    gate_move,
    survival,
    together,
)
from handlers.evaluation.affect.portions import DECIDER, JOINED_ROWS
from handlers.evaluation.affect.running import run, run_all
from handlers.evaluation.affect.traces import Trace, Units, over_clip
from handlers.predictors.affect.estimator import Estimator
from handlers.predictors.affect.speech import SpeechDetector
from handlers.processing.audio_descriptors import MissingExtra

GATE_EVERY = 5  # the gate knows no time: every fifth moment of a harmed clip tells as much
Rows = Mapping[str, Sequence[Trace]]
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
    changes: tuple[Change, ...] = ()
    left_out: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class UnitRun:
    """One unit's traces by row: as the clips are, and by harm with a modality destroyed; those of
    the gated row by harms that it is to notice, and `before` any."""

    plain: Rows
    destroyed: Mapping[str, Rows]
    before: Sequence[Trace]
    noticing: Mapping[Harm, Sequence[Trace]]


def measure(
    names: Sequence[str],
    units: Sequence[Unit],
    load: Callable[[Path, str], Estimator],
    healthy: Sequence[LabelledClip] = (),
    *,
    whole: bool = False,
    done: Callable[[int], None] = lambda _: None,
    detector: SpeechDetector | None = None,
    channels: Mapping[str, Channel] | None = None,
) -> Measured:
    """Run all rows in one unit after the other; `done` hears of moments that they have seen.

    A row whose library is missing, or that can use nothing of the clips, is left out. With
    `healthy` clips the joined models and their single modalities are also run under harm, in the
    last unit with `channels` those that hear on the clips as other channels bring them.
    """
    found = Measured()
    runs: dict[str, UnitRun] = {}
    for unit in units:
        estimators = _load(names, unit.store, load, found.left_out)
        runs[unit.name] = run_unit(estimators, unit.clips, healthy, done, detector)
        if channels is not None:
            heard = changes(estimators, unit.clips, runs[unit.name].plain, channels, detector)
            found.changes = tuple(heard)
    for name, parts in by_row({unit: one.plain for unit, one in runs.items()}).items():
        if any(np.isfinite(t.estimates).any() for part in parts.values() for t in part):
            found.models[name] = {
                unit: [over_clip(trace) for trace in part] if whole else part
                for unit, part in parts.items()
            }
        else:
            found.left_out[name] = UNUSED
    if healthy:
        by_harm = {
            harm.name: by_row({unit: one.destroyed[harm.name] for unit, one in runs.items()})
            for harm in DESTROYED
        }
        found.survivals = tuple(survival(name, part) for name, part in by_harm.items() if part)
        found.moves = gate_moves(list(runs.values()))
    return found


def run_unit(
    estimators: Mapping[str, Estimator],
    clips: Sequence[LabelledClip],
    healthy: Sequence[LabelledClip],
    done: Callable[[int], None],
    detector: SpeechDetector | None = None,
) -> UnitRun:
    """Everything that one unit's estimators are run on."""
    plain = run_all(estimators, clips, done, detector)
    joined = {name: one for name, one in estimators.items() if name in JOINED_ROWS}
    destroyed = {
        harm.name: run_all(joined, [harm(clip) for clip in healthy], detector=detector)
        for harm in DESTROYED
    }
    if DECIDER not in joined:
        return UnitRun(plain, destroyed, (), {})
    thin = [clip.thinned(GATE_EVERY) for clip in healthy]
    decider = joined[DECIDER]
    noticing = {harm: run(decider, [harm(clip) for clip in thin], detector) for harm in HARMS}
    return UnitRun(plain, destroyed, run(decider, thin, detector), noticing)


def by_row(units: Mapping[str, Rows]) -> dict[str, dict[str, Sequence[Trace]]]:
    """Traces by unit and row to those by row and unit."""
    rows = next(iter(units.values()), {})
    return {row: {unit: part[row] for unit, part in units.items()} for row in rows}


def gate_moves(runs: Sequence[UnitRun]) -> tuple[GateMove, ...]:
    """The gate's moves under every harm, over the clips of all units, and over all harms."""
    before = [trace for one in runs for trace in one.before]
    if not before:
        return ()
    moves = [
        gate_move(DECIDER, harm, before, [trace for one in runs for trace in one.noticing[harm]])
        for harm in HARMS
    ]
    return (*moves, together(moves))


def _load(
    names: Sequence[str],
    store: Path,
    load: Callable[[Path, str], Estimator],
    left_out: dict[str, str],
) -> dict[str, Estimator]:
    """The rows of a store; one whose library is missing is left out, with the reason."""
    estimators = {}
    for name in names:
        try:
            estimators[name] = load(store, name)
        except MissingExtra as error:
            left_out[name] = str(error)
    return estimators
