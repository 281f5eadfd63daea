"""Variants over the clips of every fold or seed to traces, healthy and harmed, and their report."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from handlers.evaluation.affect.agreement import (
    Agreement,
    Difference,
    agreement,
    differences,
    mean_agreement,
)
from handlers.evaluation.affect.clips import (
    DESTROYED,
    HARMS,
    Harm,
    LabelledClip,
    Trace,
    Units,
    joined,
    over_clip,
)
from handlers.evaluation.affect.harmed import (
    Channel,
    ChannelEffect,
    GateMove,
    Survival,
    changes,
    gate_move,
    survival,
    together,
)
from handlers.evaluation.affect.portions import DECIDER, JOINED_ROWS, Portion
from handlers.evaluation.affect.rows import pairs_among
from handlers.evaluation.affect.running import run, run_all
from handlers.evaluation.published import PublishedAffect, PublishedPortions
from handlers.predictors.affect.estimator import Estimator
from handlers.predictors.affect.speech import SpeechDetector
from handlers.processing.audio_descriptors import MissingExtra

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

    models: dict[str, dict[str, Sequence[Trace]]] = field(default_factory=dict)
    survivals: tuple[Survival, ...] = ()
    moves: tuple[GateMove, ...] = ()
    changes: tuple[ChannelEffect, ...] = ()
    left_out: dict[str, str] = field(default_factory=dict)


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
    found, under = Measured(), UnderHarm(healthy, detector)
    for unit in units:
        estimators = _load(names, unit.store, load, found.left_out)
        plain = run_all(estimators, unit.clips, done, detector)
        _enter(found.models, unit.name, plain)
        under.run(unit.name, estimators)
        if channels is not None:
            found.changes = tuple(changes(estimators, unit.clips, plain, channels, detector))
    for name, parts in list(found.models.items()):
        if not any(np.isfinite(t.estimates).any() for part in parts.values() for t in part):
            found.left_out[name] = UNUSED
            del found.models[name]
        elif whole:
            found.models[name] = {unit: list(map(over_clip, part)) for unit, part in parts.items()}
    found.survivals, found.moves = under.survivals(), under.moves()
    return found


class UnderHarm:
    """Runs of the joined models and their single modalities over harmed clips, by unit."""

    def __init__(self, healthy: Sequence[LabelledClip], detector: SpeechDetector | None) -> None:
        self.healthy, self.detector = healthy, detector
        self.destroyed: dict[str, dict[str, dict[str, Sequence[Trace]]]] = {}
        self.before: list[Trace] = []
        self.noticing: dict[Harm, list[Trace]] = {harm: [] for harm in HARMS}

    def run(self, unit: str, estimators: Mapping[str, Estimator]) -> None:
        """Destroy a modality for all of them; harm it less, and show that to the gated row."""
        rows = {name: one for name, one in estimators.items() if name in JOINED_ROWS}
        if not self.healthy or not rows:
            return
        for harm in DESTROYED:
            traces = run_all(rows, list(map(harm, self.healthy)), detector=self.detector)
            _enter(self.destroyed.setdefault(harm.name, {}), unit, traces)
        if DECIDER in rows:
            thin = [clip.thinned(GATE_EVERY) for clip in self.healthy]
            self.before += run(rows[DECIDER], thin, self.detector)
            for harm, traces_so_far in self.noticing.items():
                traces_so_far += run(rows[DECIDER], list(map(harm, thin)), self.detector)

    def survivals(self) -> tuple[Survival, ...]:
        """Compare the rows under each harm that destroys a modality."""
        return tuple(survival(name, models) for name, models in self.destroyed.items())

    def moves(self) -> tuple[GateMove, ...]:
        """Compute the gate's moves under every harm, over the clips of all units, and over all."""
        if not self.before:
            return ()
        items = self.noticing.items()
        moves = [gate_move(DECIDER, harm, self.before, after) for harm, after in items]
        return (*moves, together(moves))


def _enter(
    models: dict[str, dict[str, Sequence[Trace]]], unit: str, rows: Mapping[str, Sequence[Trace]]
) -> None:
    """Add the traces of one unit's rows."""
    for name, traces in rows.items():
        models.setdefault(name, {})[unit] = traces


def _load(
    names: Sequence[str],
    store: Path,
    load: Callable[[Path, str], Estimator],
    left_out: dict[str, str],
) -> dict[str, Estimator]:
    """Load the rows of a store; one whose library is missing is left out, with the reason."""
    estimators = {}
    for name in names:
        try:
            estimators[name] = load(store, name)
        except MissingExtra as error:
            left_out[name] = str(error)
    return estimators


@dataclass(frozen=True, slots=True)
class AffectFigures:
    """One model: its agreement in every unit, and the mean over the units."""

    name: str
    units: Mapping[str, Agreement]
    mean: Agreement


@dataclass(frozen=True, slots=True)
class AffectReport:
    """Figures of one run.

    Attributes:
        data, note: what the models were measured on, and what is to be known of its labels.
        clips, moments: how many, over all folds.
        units: the folds or seeds that the rows are means of.
        weights: SHA-256 of the weights by model store and row.
        left_out: rows that could not be run, with the reason.
        published, published_portions: the thesis's tables of the same data, or of all.
    """

    data: str
    note: str
    clips: int
    moments: int
    units: tuple[str, ...]
    weights: Mapping[str, Mapping[str, str]]
    rows: tuple[AffectFigures, ...]
    left_out: Mapping[str, str]
    differences: tuple[Difference, ...]
    portions: tuple[Portion, ...]
    survivals: tuple[Survival, ...]
    moves: tuple[GateMove, ...]
    changes: tuple[ChannelEffect, ...]
    published: tuple[PublishedAffect, ...]
    published_portions: tuple[PublishedPortions, ...]


def row_of(name: str, units: Units) -> AffectFigures:
    """Return the figures of one model's traces: over all moments of a unit, then the mean
    (6.4.2)."""
    found = {unit: agreement(*joined(part)) for unit, part in units.items()}
    return AffectFigures(name, found, mean_agreement(found.values()))


def compare(models: Mapping[str, Units], seed: int = 0) -> list[Difference]:
    """Return differences in CCC of every model and those that it is to beat."""
    return [
        difference
        for first, second in pairs_among(list(models))
        for difference in differences(
            (first, models[first]), (second, models[second]), "ccc", seed=seed
        )
    ]
