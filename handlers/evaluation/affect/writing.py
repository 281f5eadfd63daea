"""Figures to the console and to files: tables, JSON, CSV, pictures."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from handlers.evaluation.affect.agreement import MEASURES, Agreement, Score
from handlers.evaluation.affect.figures import models_shown, write_scatter, write_timeline
from handlers.evaluation.affect.portions import spread
from handlers.evaluation.affect.report import AffectReport
from handlers.evaluation.affect.sets import Material
from handlers.evaluation.affect.tables import show
from handlers.evaluation.affect.traces import Units
from handlers.evaluation.output import record, rounded, write_csv, write_json


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
    write_csv(out / "moments.csv", moment_lines(models))
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


def moment_lines(models: Mapping[str, Units]) -> list[dict[str, Any]]:
    """A line a model, unit and moment: times in seconds, labels, estimates, gate, spread."""
    lines: list[dict[str, Any]] = []
    for name, units in models.items():
        for unit, part in units.items():
            for trace in part:
                columns = {
                    "valence": trace.labels[:, 0],
                    "arousal": trace.labels[:, 1],
                    "valence_estimate": trace.estimates[:, 0],
                    "arousal_estimate": trace.estimates[:, 1],
                    "gate": trace.gate,
                    "attention_spread": spread(trace),
                }
                for moment, time_s in enumerate(trace.times_s.tolist()):
                    where = {"model": name, "unit": unit, "clip": trace.clip}
                    found = {key: rounded(float(one[moment])) for key, one in columns.items()}
                    lines.append({**where, "time_s": round(time_s, 3), **found})
    return lines


def record_figures(report: AffectReport, stores: tuple[Path, ...]) -> None:
    """Write each variant's figures on the report's data beside those on other data.

    `{"made clips": {"moments": 7000, "valence": {"rmse": 0.2, "cor": ..., "ccc": ..., "icc": ...},
    "arousal": {...}}}`. A store gets those of its own fold or seed.
    """
    for store, unit in zip(stores, report.units, strict=True):
        for row in report.rows:
            record(store / row.name, report.data, figures(row.units[unit]))


def figures(found: Agreement) -> dict[str, Any]:
    """An agreement as plain numbers; none where there is no number."""

    def plain(score: Score) -> dict[str, float | None]:
        return {name: rounded(getattr(score, name)) for name in MEASURES}

    sides = {"valence": plain(found.valence), "arousal": plain(found.arousal)}
    return {"moments": found.samples, **sides}
