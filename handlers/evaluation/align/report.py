"""Errors to the figures that are reported, comparisons of models, and those to JSON and CSV."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from handlers.evaluation.align.running import Boxes, Case, Condition, Errors
from handlers.evaluation.metrics import (
    THRESHOLD,
    Interval,
    auc,
    failure_rate,
    finite_mean,
    paired_bootstrap,
)
from handlers.evaluation.output import write_json
from handlers.evaluation.published import PublishedTable
from handlers.processing.arrays import Doubles
from handlers.training.datasets.folders import FaceSample


@dataclass(frozen=True, slots=True)
class AlignScore:
    """NME, AUC and FR at 0.08, as fractions.

    `nme` is the mean over the faces that were found (not a number if none was); AUC and FR are
    over all faces, a missed one counting as a failure.
    """

    nme: float
    auc: float
    fr: float

    @classmethod
    def of(cls, errors: Doubles) -> "AlignScore":
        return cls(finite_mean(errors), auc(errors), failure_rate(errors))


@dataclass(frozen=True, slots=True)
class AlignFigures:
    """One case: normalised by the truth's box and by its outer eye distance."""

    case: Case
    faces: int
    missed: int
    box: AlignScore
    eyes: AlignScore


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
    """Figures of one run. `weights` are the SHA-256 of each model's weights."""

    data: str
    layout: str
    faces: int
    skipped: Mapping[str, int]
    weights: Mapping[str, str]
    rows: tuple[AlignFigures, ...]
    comparisons: tuple[Comparison, ...]
    published: tuple[PublishedTable, ...]

    def row(self, model: str, condition: Condition, boxes: Boxes = Boxes.TRUTH) -> AlignFigures:
        """Return the row of one case. Raises KeyError if it was not run."""
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


def score(errors: Mapping[Case, Errors]) -> tuple[AlignFigures, ...]:
    """Return one row a case, in the order they were run."""
    return tuple(
        AlignFigures(
            case,
            len(found.box),
            int(np.isinf(found.box).sum()),
            AlignScore.of(found.box),
            AlignScore.of(found.eyes),
        )
        for case, found in errors.items()
    )


def compare(
    errors: Mapping[Case, Errors],
    pairs: Sequence[tuple[str, str]],
    samples: Sequence[FaceSample],
    seed: int = 0,
) -> tuple[Comparison, ...]:
    """Return the paired bootstrap of the AUC for each pair of models under each condition run.

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


def write_report(report: AlignReport, path: Path) -> None:
    """Write the whole report as JSON; a mean over no face is null."""
    content = {
        "data": report.data,
        "layout": report.layout,
        "faces": report.faces,
        "skipped": report.skipped,
        "weights_sha256": report.weights,
        "threshold": THRESHOLD,
        "results": [flat(row) for row in report.rows],
        "comparisons": [
            {**_named(c.condition), "boxes": c.boxes, "first": c.first, "second": c.second,
             "auc": c.interval, "better": c.verdict}
            for c in report.comparisons
        ],
        "published": report.published,
    }  # fmt: skip
    write_json(content, path)


def face_lines(
    errors: Mapping[Case, Errors], samples: Sequence[FaceSample], root: Path
) -> list[dict[str, Any]]:
    """Return a line a face and case, pictures named from the data's folder on; missed: no error."""
    lines = []
    for case, found in errors.items():
        pairs = zip(found.box.tolist(), found.eyes.tolist(), strict=True)
        for sample, (box, eyes) in zip(samples, pairs, strict=True):
            where = {"picture": _name(sample.image_path, root), "person": sample.person}
            lines.append({**where, **_case(case), "nme_box": box, "nme_eyes": eyes})
    return lines


def flat(row: AlignFigures) -> dict[str, Any]:
    """Return the figures of a case as the columns of a table."""
    counts = {"faces": row.faces, "missed": row.missed}
    scores = {
        f"{measure}_{name}": value
        for name, found in (("box", row.box), ("eyes", row.eyes))
        for measure, value in asdict(found).items()
    }
    return {**_case(row.case), **counts, **scores}


def _case(case: Case) -> dict[str, Any]:
    return {"model": case.model, **_named(case.condition), "boxes": str(case.boxes)}


def _named(condition: Condition) -> dict[str, Any]:
    return {"degradation": condition.degradation, "level": condition.level}


def _name(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else path.name
