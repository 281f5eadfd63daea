"""What was measured to the console and to files: tables, JSON, CSV, pictures."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from handlers.checkpoint import annotate, load_checkpoint
from handlers.evaluation.affect.agreement import MEASURES, Agreement, Score
from handlers.evaluation.affect.figures import models_shown, write_scatter, write_timeline
from handlers.evaluation.affect.report import AffectReport, write_json, write_moments_csv
from handlers.evaluation.affect.sets import Material
from handlers.evaluation.affect.tables import show
from handlers.evaluation.affect.traces import Units
from handlers.evaluation.align.record import FIGURES, number


def publish(
    report: AffectReport,
    models: Mapping[str, Units],
    material: Material,
    out: Path | None,
    plots: int,
    console: Console,
) -> None:
    """Tables on the console; with a folder `out` also JSON, CSV and PNGs there, of these
    `plots` timelines."""
    show(report, console)
    if out is None:
        return
    out.mkdir(parents=True, exist_ok=True)
    write_json(report, out / "report.json")
    write_moments_csv(models, out / "moments.csv")
    with (out / "report.txt").open("w", encoding="utf-8") as file:
        show(report, Console(file=file, width=220))
    if models:
        write_scatter(models, out / "scatter.png")
        write_timelines(models, material, out, plots)
    console.print(f"Written to {out}")


def write_timelines(models: Mapping[str, Units], material: Material, out: Path, count: int) -> None:
    """`timeline-<clip>.png` of the first clips in time, by the first fold's or seed's models."""
    unit = next(iter(next(iter(models.values()))))
    shown = [clip for clip in material.clips if len(clip.times_s) > 1 and not material.whole]
    for clip in shown[:count]:
        traces = {
            name: trace
            for name in models_shown(list(models))
            for trace in models[name][unit]
            if trace.clip == clip.name
        }
        if traces:
            write_timeline(clip, traces, out / f"timeline-{file_name(clip.name)}.png")


def file_name(clip: str) -> str:
    """A clip's name as part of a file's."""
    return re.sub(r"[^\w.-]+", "-", clip)


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
