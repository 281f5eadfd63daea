"""Errors to the figures that are reported, and to the comparisons of models."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from handlers.evaluation.align.conditions import Condition
from handlers.evaluation.align.running import Boxes, Case, Errors
from handlers.evaluation.metrics import (
    Doubles,
    Interval,
    auc,
    failure_rate,
    paired_bootstrap,
)
from handlers.evaluation.published import PublishedTable
from handlers.training.datasets.records import FaceSample


@dataclass(frozen=True, slots=True)
class Score:
    """NME, AUC and FR at 0.08, as fractions.

    `nme` is the mean over the faces that were found (not a number if none was); AUC and FR are
    over all faces, a missed one counting as a failure.
    """

    nme: float
    auc: float
    fr: float

    @classmethod
    def of(cls, errors: Doubles) -> "Score":
        found = errors[np.isfinite(errors)]
        nme = float(found.mean()) if len(found) else math.nan
        return cls(nme, auc(errors), failure_rate(errors))


@dataclass(frozen=True, slots=True)
class Row:
    """One case: normalised by the truth's box and by its outer eye distance."""

    case: Case
    faces: int
    missed: int
    box: Score
    eyes: Score


@dataclass(frozen=True, slots=True)
class Comparison:
    """AUC (box) of `first` minus that of `second` on the same faces."""

    first: str
    second: str
    condition: Condition
    boxes: Boxes
    interval: Interval

    @property
    def verdict(self) -> str:
        """The better model's name, or `neither` where the interval holds 0."""
        if self.interval.low > 0:
            return self.first
        return self.second if self.interval.high < 0 else "neither"


@dataclass(frozen=True, slots=True)
class AlignReport:
    """What one run measured. `weights` are the SHA-256 of each model's weights."""

    data: str
    layout: str
    faces: int
    skipped: Mapping[str, int]
    weights: Mapping[str, str]
    rows: tuple[Row, ...]
    comparisons: tuple[Comparison, ...]
    published: tuple[PublishedTable, ...]

    def row(self, model: str, condition: Condition, boxes: Boxes = Boxes.TRUTH) -> Row:
        """The row of one case. Raises KeyError if it was not run."""
        wanted = Case(model, condition, boxes)
        for row in self.rows:
            if row.case == wanted:
                return row
        raise KeyError(wanted)

    @property
    def models(self) -> list[str]:
        return list(self.weights)

    @property
    def sources(self) -> list[Boxes]:
        """Whose boxes were used, in order."""
        return list(dict.fromkeys(row.case.boxes for row in self.rows))

    @property
    def conditions(self) -> list[Condition]:
        return list(dict.fromkeys(row.case.condition for row in self.rows))


def score(errors: Mapping[Case, Errors]) -> tuple[Row, ...]:
    """One row a case, in the order they were run."""
    return tuple(
        Row(
            case,
            len(found.box),
            int(np.isinf(found.box).sum()),
            Score.of(found.box),
            Score.of(found.eyes),
        )
        for case, found in errors.items()
    )


def compare(
    errors: Mapping[Case, Errors],
    pairs: Sequence[tuple[str, str]],
    samples: Sequence[FaceSample],
    seed: int = 0,
) -> tuple[Comparison, ...]:
    """Paired bootstrap of the AUC for each pair of models under each condition run.

    Faces of one person are drawn together; a face without a person stands for itself.
    """
    people = [sample.person or f"face {index}" for index, sample in enumerate(samples)]
    settings = dict.fromkeys((case.condition, case.boxes) for case in errors)
    return tuple(
        Comparison(
            first,
            second,
            condition,
            boxes,
            paired_bootstrap(
                errors[Case(first, condition, boxes)].box,
                errors[Case(second, condition, boxes)].box,
                people,
                seed=seed,
            ),
        )
        for first, second in pairs
        for condition, boxes in settings
    )
