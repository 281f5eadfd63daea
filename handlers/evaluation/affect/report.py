"""Traces to the figures that are reported, and those to JSON and CSV."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

from handlers.evaluation.affect.agreement import Agreement, agreement, mean_agreement
from handlers.evaluation.affect.bootstrap import Difference, differences
from handlers.evaluation.affect.channels import Change
from handlers.evaluation.affect.harmed import GateMove, Survival
from handlers.evaluation.affect.portions import Portion, attention_portions, gate_portions, spread
from handlers.evaluation.affect.rows import pairs_among
from handlers.evaluation.affect.traces import Units, joined
from handlers.evaluation.published import MARK, PublishedAffect, PublishedPortions


@dataclass(frozen=True, slots=True)
class Row:
    """One model: its agreement in every unit, and the mean over the units."""

    name: str
    units: Mapping[str, Agreement]
    mean: Agreement


@dataclass(frozen=True, slots=True)
class AffectReport:
    """What one run measured.

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
    rows: tuple[Row, ...]
    left_out: Mapping[str, str]
    differences: tuple[Difference, ...]
    portions: tuple[Portion, ...]
    survivals: tuple[Survival, ...]
    moves: tuple[GateMove, ...]
    changes: tuple[Change, ...]
    published: tuple[PublishedAffect, ...]
    published_portions: tuple[PublishedPortions, ...]

    def row(self, name: str) -> Row:
        """The figures of one model. Raises KeyError if it was not run."""
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(name)


def row_of(name: str, units: Units) -> Row:
    """The figures of one model's traces: over all moments of a unit, then the mean (6.4.2)."""
    found = {unit: agreement(*joined(part)) for unit, part in units.items()}
    return Row(name, found, mean_agreement(found.values()))


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
    """Where attention and where the gate is decided."""
    return [*attention_portions(models), *gate_portions(models)]


def write_json(report: AffectReport, path: Path) -> None:
    """The whole report; what has no value is null."""
    content = _plain(report)
    for key in ("published", "published_portions"):
        content[key] = [{**table, "mark": MARK} for table in content[key]]
    text = json.dumps(content, indent=2, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def write_moments_csv(models: Mapping[str, Units], path: Path) -> None:
    """One line a model, unit and moment: times in seconds, labels, estimates, gate, spread."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            [
                *("model", "unit", "clip", "time_s", "valence", "arousal"),
                *("valence_estimate", "arousal_estimate", "gate", "attention_spread"),
            ]
        )
        for name, units in models.items():
            for unit, part in units.items():
                for trace in part:
                    spreads = spread(trace)
                    for moment, time_s in enumerate(trace.times_s):
                        numbers = (*trace.labels[moment], *trace.estimates[moment])
                        last = (trace.gate[moment], spreads[moment])
                        shown = (_shown(float(v)) for v in (*numbers, *last))
                        writer.writerow([name, unit, trace.clip, f"{time_s:.3f}", *shown])


def _shown(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else ""


def _plain(value: Any) -> Any:
    """Dataclasses to dicts, what is not a number to None; the mean of both dimensions joins."""
    if isinstance(value, Agreement):
        return _plain({**asdict(value), "average": asdict(value.average)})
    if is_dataclass(value) and not isinstance(value, type):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
