"""What was measured into the configurations of the models, where `GET /models` finds it."""

import math
from pathlib import Path
from typing import Any

from handlers.checkpoint import annotate, load_checkpoint
from handlers.evaluation.align.report import AlignReport, Row

FIGURES = "figures"


def record_figures(report: AlignReport, model_store: Path) -> None:
    """Write each model's figures on the report's data beside those on other data.

    `{"helen/test": {"faces": 110, "auc": {"truth": {"clean": 0.75, ...}}, "fr": ...}}`, box
    normalised, AUC and failure rate at 0.08.
    """
    for name in report.weights:
        rows = [row for row in report.rows if row.case.model == name]
        kept = load_checkpoint(model_store / name).config.get(FIGURES, {})
        annotate(model_store / name, **{FIGURES: kept | {report.data: _figures(report, rows)}})


def _figures(report: AlignReport, rows: list[Row]) -> dict[str, Any]:
    figures: dict[str, Any] = {"faces": report.faces, "nme": {}, "auc": {}, "fr": {}}
    for row in rows:
        condition, boxes = str(row.case.condition), row.case.boxes.value
        for name, value in (("nme", row.box.nme), ("auc", row.box.auc), ("fr", row.box.fr)):
            figures[name].setdefault(boxes, {})[condition] = number(value)
    return figures


def number(value: float) -> float | None:
    """Four decimals; none where there is no number, since JSON has no word for that."""
    return round(value, 4) if math.isfinite(value) else None
