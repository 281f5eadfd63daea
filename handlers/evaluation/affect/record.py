"""What was measured into the configurations of the variants, where `GET /models` finds it."""

from pathlib import Path
from typing import Any

from handlers.checkpoint import annotate, load_checkpoint
from handlers.evaluation.affect.agreement import MEASURES, Agreement, Score
from handlers.evaluation.affect.report import AffectReport
from handlers.evaluation.align.record import FIGURES, number


def record_figures(report: AffectReport, stores: tuple[Path, ...]) -> None:
    """Write each variant's figures on the report's data beside those on other data.

    `{"made clips": {"moments": 7000, "valence": {"rmse": 0.2, "cor": ..., "ccc": ..., "icc": ...},
    "arousal": {...}}}`. A store gets those of its own fold or seed.
    """
    for store, unit in zip(stores, report.units, strict=True):
        for row in report.rows:
            folder = store / row.name
            kept = load_checkpoint(folder).config.get(FIGURES, {})
            annotate(folder, **{FIGURES: kept | {report.data: figures(row.units[unit])}})


def figures(found: Agreement) -> dict[str, Any]:
    """An agreement as plain numbers; none where there is no number."""

    def plain(score: Score) -> dict[str, float | None]:
        return {name: number(getattr(score, name)) for name in MEASURES}

    sides = {"valence": plain(found.valence), "arousal": plain(found.arousal)}
    return {"moments": found.samples, **sides}
