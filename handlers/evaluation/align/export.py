"""A report to JSON, its figures and every single error to CSV."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from handlers.evaluation.align.conditions import Condition
from handlers.evaluation.align.report import AlignReport, Row
from handlers.evaluation.align.running import Case, Errors
from handlers.evaluation.metrics import THRESHOLD
from handlers.evaluation.published import MARK
from handlers.training.datasets.records import FaceSample


def write_json(report: AlignReport, path: Path) -> None:
    """The whole report; a mean over no face is null."""
    content = {
        "data": report.data,
        "layout": report.layout,
        "faces": report.faces,
        "skipped": dict(report.skipped),
        "weights_sha256": dict(report.weights),
        "threshold": THRESHOLD,
        "results": [_flat(row) for row in report.rows],
        "comparisons": [
            {**_named(c.condition), "boxes": c.boxes, "first": c.first, "second": c.second,
             "auc": asdict(c.interval), "better": c.verdict}
            for c in report.comparisons
        ],
        "published": [{**asdict(table), "mark": MARK} for table in report.published],
    }  # fmt: skip
    path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def write_summary_csv(report: AlignReport, path: Path) -> None:
    """One line a case."""
    _write_csv(path, [_flat(row) for row in report.rows])


def write_faces_csv(
    errors: Mapping[Case, Errors], samples: Sequence[FaceSample], root: Path, path: Path
) -> None:
    """One line a face and case, pictures named from the data's folder on; missed: no error."""
    lines = []
    for case, found in errors.items():
        pairs = zip(found.box.tolist(), found.eyes.tolist(), strict=True)
        for sample, (box, eyes) in zip(samples, pairs, strict=True):
            where = {"picture": _name(sample.image_path, root), "person": sample.person}
            lines.append({**where, **_case(case), "nme_box": _real(box), "nme_eyes": _real(eyes)})
    _write_csv(path, lines)


def _write_csv(path: Path, lines: list[dict[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)


def _flat(row: Row) -> dict[str, Any]:
    counts = {"faces": row.faces, "missed": row.missed}
    scores = {
        f"{measure}_{name}": _real(value)
        for name, found in (("box", row.box), ("eyes", row.eyes))
        for measure, value in asdict(found).items()
    }
    return {**_case(row.case), **counts, **scores}


def _case(case: Case) -> dict[str, Any]:
    return {"model": case.model, **_named(case.condition), "boxes": str(case.boxes)}


def _named(condition: Condition) -> dict[str, Any]:
    return {"degradation": condition.degradation, "level": condition.level}


def _real(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _name(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else path.name
