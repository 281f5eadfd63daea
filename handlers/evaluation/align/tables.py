"""A report to tables on a terminal, in the thesis's layouts, published rows beside ours."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, RenderableType
from rich.table import Table

from handlers.evaluation.align.conditions import CLEAN, RESIZED, Condition
from handlers.evaluation.align.report import AlignFigures, AlignReport
from handlers.evaluation.align.running import Boxes
from handlers.evaluation.output import (
    PUBLISHED_STYLE,
    layout_title,
    marked,
    new_table,
    number,
    signed,
    with_notes,
)
from handlers.evaluation.published import PublishedTable
from handlers.processing.degradations import LEVELS

BOX_NAMES = {Boxes.TRUTH: "true box", Boxes.DETECTOR: "detector"}
MEASURES = {"nme": "NME", "auc": "AUC", "fr": "FR"}
OTHER = "pictures, training data and crops"


@dataclass(frozen=True, slots=True)
class Layout:
    """The head of one table: what was measured under which conditions."""

    title: str
    conditions: tuple[Condition, ...]
    measures: tuple[str, ...]


def show(report: AlignReport, console: Console) -> None:
    """Print every table of the report."""
    skipped = ", ".join(f"{count} x {reason}" for reason, count in report.skipped.items())
    left_out = f"; left out: {skipped}" if skipped else ""
    console.print(f"{report.data}: {report.faces} faces{left_out}", markup=False)
    for table in tables(report):
        console.print(table, "")


def tables(report: AlignReport) -> Iterator[RenderableType]:
    """The summary, the thesis's tables as far as they were run, the paired comparisons."""
    yield _summary(report)
    for published in report.published:
        layout = _layout(report, published)
        if set(layout.conditions) <= set(report.conditions):
            yield _beside(report, layout, published)
    motion = tuple(Condition("motion", level) for level in LEVELS["motion"])
    if set(motion) <= set(report.conditions):
        yield _beside(
            report,
            Layout(f"{report.data}: motion blur of 10, 15, 25 frames", motion, ("auc", "fr")),
        )
    for first, second in dict.fromkeys((c.first, c.second) for c in report.comparisons):
        yield _comparisons(report, first, second)


def _summary(report: AlignReport) -> Table:
    """Both normalisations on the pictures as they are and, in a sweep, its own reference."""
    title = f"{report.data}: errors over the box size and over the eye distance"
    heads = ("Missed", *MEASURES.values(), *(f"{name}\neyes" for name in MEASURES.values()))
    table = new_table(title, ("Model", "Pictures", "Boxes"), heads)
    for row in report.rows:
        if row.case.condition in (CLEAN, RESIZED):
            scores = [number(getattr(s, m)) for s in (row.box, row.eyes) for m in MEASURES]
            where = (str(row.case.condition), BOX_NAMES[row.case.boxes])
            table.add_row(row.case.model, *where, f"{row.missed}/{row.faces}", *scores)
    return table


def _layout(report: AlignReport, published: PublishedTable) -> Layout:
    clean = published.degradation == CLEAN.degradation
    levels = tuple(Condition(published.degradation, level) for level in published.levels)
    title = layout_title(report.data, published)
    return Layout(title, (CLEAN,) if clean else levels, published.measures)


def _beside(
    report: AlignReport, layout: Layout, published: PublishedTable | None = None
) -> RenderableType:
    """Our rows, then the published ones, with their notes below."""
    heads = [
        f"{condition.label}\n{MEASURES[measure]}".strip()
        for condition in layout.conditions
        for measure in layout.measures
    ]
    table = new_table(layout.title, ("Method", "Data"), heads)
    for boxes in report.sources:
        for model in report.models:
            rows = [report.row(model, condition, boxes) for condition in layout.conditions]
            table.add_row(model, BOX_NAMES[boxes], *_cells(rows, layout.measures))
    if published is None:
        return table
    table.add_section()
    for line in published.rows:
        name, where = marked(line, published.rows), f"{line.data}, published"
        table.add_row(name, where, *map(number, line.values), style=PUBLISHED_STYLE)
    return with_notes(table, published.rows, published.note, OTHER)


def _cells(rows: Sequence[AlignFigures], measures: Sequence[str]) -> Iterator[str]:
    return (number(getattr(row.box, measure)) for row in rows for measure in measures)


def _comparisons(report: AlignReport, first: str, second: str) -> Table:
    found = [c for c in report.comparisons if (c.first, c.second) == (first, second)]
    confidence = found[0].interval.confidence
    title = f"AUC of {first} minus {second}, paired bootstrap, {confidence:.0%} interval"
    table = new_table(title, ("Pictures", "Boxes"), ("Difference", "From", "To", "Better"))
    for c in found:
        numbers = (signed(v, 4) for v in (c.interval.difference, c.interval.low, c.interval.high))
        table.add_row(str(c.condition), BOX_NAMES[c.boxes], *numbers, c.verdict)
    return table
