"""Traces to the figures that are reported, and those to JSON and CSV."""

from collections.abc import Mapping
from dataclasses import dataclass

from handlers.evaluation.affect.agreement import (
    Agreement,
    Difference,
    agreement,
    differences,
    mean_agreement,
)
from handlers.evaluation.affect.harmed import Change, GateMove, Survival
from handlers.evaluation.affect.portions import Portion, attention_portions, gate_portions
from handlers.evaluation.affect.rows import pairs_among
from handlers.evaluation.affect.traces import Units, joined
from handlers.evaluation.published import PublishedAffect, PublishedPortions


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
    changes: tuple[Change, ...]
    published: tuple[PublishedAffect, ...]
    published_portions: tuple[PublishedPortions, ...]

    def row(self, name: str) -> AffectFigures:
        """The figures of one model. Raises KeyError if it was not run."""
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(name)


def row_of(name: str, units: Units) -> AffectFigures:
    """The figures of one model's traces: over all moments of a unit, then the mean (6.4.2)."""
    found = {unit: agreement(*joined(part)) for unit, part in units.items()}
    return AffectFigures(name, found, mean_agreement(found.values()))


def compare(models: Mapping[str, Units], seed: int = 0) -> list[Difference]:
    """Differences in CCC of every model and those that it is to beat."""
    return [
        difference
        for first, second in pairs_among(list(models))
        for difference in differences(
            (first, models[first]), (second, models[second]), "ccc", seed=seed
        )
    ]


def portions(models: Mapping[str, Units]) -> list[Portion]:
    """List the portions where attention and where the gate is decided."""
    return [*attention_portions(models), *gate_portions(models)]
