"""An affect report to tables on a terminal, in the thesis's layouts, published rows beside."""

import math
from collections.abc import Iterator, Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from handlers.evaluation.affect.agreement import MEASURES, Agreement
from handlers.evaluation.affect.bootstrap import NEITHER, Difference
from handlers.evaluation.affect.harm_tables import harm_tables
from handlers.evaluation.affect.layout import (
    PUBLISHED_STYLE,
    SIDES,
    marked,
    new_table,
    number,
    value,
    with_notes,
)
from handlers.evaluation.affect.portion_tables import portion_tables
from handlers.evaluation.affect.report import AffectReport, Row
from handlers.evaluation.affect.rows import printed
from handlers.evaluation.published import PublishedAffect, PublishedEstimator


def show(report: AffectReport, console: Console) -> None:
    """Print every table of the report."""
    of = f" in {len(report.units)} parts ({', '.join(report.units)})"
    counts = f"{report.clips} clips, {report.moments} moments"
    console.print(f"{report.data}: {counts}{of if len(report.units) > 1 else ''}", markup=False)
    if report.note:
        console.print(report.note, markup=False)
    for reason in dict.fromkeys(report.left_out.values()):
        names = (printed(name) for name, why in report.left_out.items() if why == reason)
        console.print(f"Left out: {', '.join(names)} ({reason})", markup=False)
    for table in tables(report):
        console.print(table, "")


def tables(report: AffectReport) -> Iterator[RenderableType]:
    """All figures, the thesis's tables with ours on top, comparisons, portions, harms."""
    yield _summary(report)
    for published in report.published:
        if rows := [row for row in report.rows if _belongs(row, published)]:
            if published.rows[0].folds:
                if len(report.units) == len(published.rows[0].folds):
                    yield _by_fold(rows, published, report.data)
            else:
                yield _beside(rows, published, report.data)
    if report.differences:
        yield _differences(report)
    yield from portion_tables(report)
    yield from harm_tables(report)


def _summary(report: AffectReport) -> Table:
    """All measures of all rows, and below each its parts."""
    title = "Agreement, the mean of the parts" if len(report.units) > 1 else "Agreement"
    heads = [f"{measure.upper()}\n{side}" for measure in MEASURES for side in SIDES]
    table = new_table(title, ("Method",), ("Moments", "Answered", *heads))

    def cells(found: Agreement) -> list[str]:
        share = f"{found.answered:.0%}" if math.isfinite(found.answered) else "-"
        numbers = [number(value(found, m, side)) for m in MEASURES for side in SIDES]
        return [str(found.samples), share, *numbers]

    for row in report.rows:
        table.add_row(printed(row.name), *cells(row.mean))
        for unit, found in row.units.items() if len(row.units) > 1 else ():
            table.add_row(f"  {unit}", *cells(found), style=PUBLISHED_STYLE)
    return table


def _belongs(row: Row, published: PublishedAffect) -> bool:
    name = printed(row.name)
    methods = [line.method for line in published.rows]
    return any(name == method or name.startswith(f"{method}-") for method in methods) or any(
        method.startswith(f"{name}-") and method.rpartition("-")[2].isdecimal()
        for method in methods
    )


def _columns(published: PublishedAffect) -> list[tuple[str, str]]:
    return [(m, side) for m in published.measures for side in published.dimensions]


def _beside(rows: Sequence[Row], published: PublishedAffect, data: str) -> RenderableType:
    """Our rows, then the published ones."""
    title = f"As Table {published.name}. {published.title}, {published.data}"
    heads = [f"{measure}\n{side}" for measure, side in _columns(published)]
    table = new_table(title, ("Method", "Data"), heads)
    for row in rows:
        cells = [number(value(row.mean, *column)) for column in _columns(published)]
        table.add_row(printed(row.name), data, *cells)
    table.add_section()
    lines = [(line.method, line.note) for line in published.rows]
    for line in published.rows:
        cells = list(map(number, line.values))
        name = marked(line.method, line.note, lines)
        table.add_row(name, f"{published.data}, published", *cells, style=PUBLISHED_STYLE)
    return with_notes(table, lines, published.note)


def _by_fold(rows: Sequence[Row], published: PublishedAffect, data: str) -> RenderableType:
    """Measures below each other, folds beside each other, as Tables B.6 and B.7."""
    title = f"As Table {published.name}. {published.title}, {published.data}"
    parts = [f"Fold-{index}" for index, _ in enumerate(published.rows[0].folds, start=1)]
    heads = [f"{part}\n{side}" for part in (*parts, "Average") for side in published.dimensions]
    table = new_table(title, ("Method", "Data", ""), heads)
    for row in rows:
        found = (*row.units.values(), row.mean)
        for measure in published.measures:
            cells = [
                number(value(part, measure, side))
                for part in found
                for side in published.dimensions
            ]
            table.add_row(printed(row.name), data, measure, *cells)
    table.add_section()
    for line in published.rows:
        for index, measure in enumerate(published.measures):
            cells = list(_fold_cells(line, index, len(published.dimensions)))
            where = f"{published.data}, published"
            table.add_row(line.method, where, measure, *cells, style=PUBLISHED_STYLE)
    return with_notes(table, [(line.method, line.note) for line in published.rows], published.note)


def _fold_cells(line: PublishedEstimator, measure: int, sides: int) -> Iterator[str]:
    for values in (*line.folds, line.values):
        yield from map(number, values[measure * sides : (measure + 1) * sides])


def _differences(report: AffectReport) -> RenderableType:
    """A line a pair and dimension; beside it the interval for each kind of people drawn."""
    lines: dict[tuple[str, str, str], list[Difference]] = {}
    for d in report.differences:
        lines.setdefault((d.first, d.second, d.dimension), []).append(d)
    drawn = [f"{d.groups} {d.over}s" for d in next(iter(lines.values()))]
    confidence = report.differences[0].interval.confidence
    title = f"Differences in CCC where both answer, paired bootstrap, {confidence:.0%} intervals"
    heads = ("Difference", *(f"{who}\nfrom   to" for who in drawn), "Better")
    table = new_table(title, ("Methods", "Of"), heads)
    for (first, second, dimension), found in lines.items():
        cells = [f"{_signed(d.interval.low)} {_signed(d.interval.high)}" for d in found]
        verdicts = {d.verdict for d in found}
        better = verdicts.pop() if len(verdicts) == 1 else NEITHER
        table.add_row(
            f"{printed(first)} - {printed(second)}",
            dimension,
            _signed(found[0].interval.difference),
            *cells,
            better if better == NEITHER else printed(better),
        )
    said = "Better: no interval holds 0." if len(drawn) > 1 else "Better: the interval holds no 0."
    return Group(table, Text(said, style=PUBLISHED_STYLE))


def _signed(value: float) -> str:
    return f"{value:+.3f}" if math.isfinite(value) else "-"
