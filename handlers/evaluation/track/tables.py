"""A tracking report to tables on a terminal, in the thesis's layouts, published rows beside."""

import math
from collections.abc import Iterator, Mapping

from rich.console import Console, RenderableType
from rich.table import Table

from handlers.evaluation.output import (
    PUBLISHED_STYLE,
    layout_title,
    marked,
    new_table,
    number,
    signed,
    with_notes,
)
from handlers.evaluation.published import PublishedTracking
from handlers.evaluation.track.metrics import Accuracy
from handlers.evaluation.track.report import ALL, TrackReport

DATA, OTHER = "300-VW", "videos and training data"
BY_WINDOW, ANOTHER_ANNOTATION = "2.1", "2.3"


def show(report: TrackReport, console: Console) -> None:
    """Print every table of the report."""
    console.print(f"{report.data}: {report.videos} videos, {report.frames} frames", markup=False)
    for table in tables(report):
        console.print(table)


def tables(report: TrackReport) -> Iterator[RenderableType]:
    """The thesis's tables with our rows on top, then what the thesis does not have."""
    if report.rows:
        for published in report.published:
            yield (
                _rigid(report, published)
                if published.name == BY_WINDOW
                else _beside(report, published)
            )
        yield _by_group(report)
        yield _behaviour(report)
    if report.comparisons:
        yield _comparisons(report)
    if report.clips:
        yield _clips(report)


def _beside(report: TrackReport, published: PublishedTracking) -> RenderableType:
    """AUC and FR by category, ours and the published ones."""
    ours = published.name != ANOTHER_ANNOTATION
    title = layout_title(report.data, published)
    table = new_table(title, ("Method", "Data"), published.columns)
    for row in report.rows if ours else ():
        cells = [_cell(row.categories, column) for column in published.columns]
        table.add_row(row.name, report.data, *map(number, cells))
    return _with_published(table, published)


def _rigid(report: TrackReport, published: PublishedTracking) -> RenderableType:
    """Area under the success curve; trackers without a window stand under the first column."""
    title = layout_title(report.data, published)
    table = new_table(title, ("Method", "Data"), [f"n = {one}" for one in published.columns])
    families: dict[str, dict[str, float]] = {}
    for row in report.rows:
        family, _, window = row.name.partition("-")
        if window in published.columns:
            families.setdefault(family, {})[window] = row.rigid[ALL]
        else:
            families[row.name] = {published.columns[0]: row.rigid[ALL]}
    for family, values in families.items():
        cells = (number(values.get(column, math.nan)) for column in published.columns)
        table.add_row(family, report.data, *cells)
    return _with_published(table, published)


def _with_published(table: Table, published: PublishedTracking) -> RenderableType:
    """The published rows and their notes below ours."""
    table.add_section()
    for line in published.rows:
        name, where = marked(line, published.rows), f"{DATA}, published"
        table.add_row(name, where, *map(number, line.values), style=PUBLISHED_STYLE)
    return with_notes(table, published.rows, published.note, OTHER)


def _by_group(report: TrackReport) -> Table:
    groups = [name for name in report.rows[0].groups if name != ALL]
    table = new_table("AUC and FR by kind of video", ("Method",), groups)
    for row in report.rows:
        cells = (f"{number(row.groups[g].auc)} {number(row.groups[g].fr)}" for g in groups)
        table.add_row(row.name, *cells)
    return table


def _behaviour(report: TrackReport) -> Table:
    title = "Jitter in thousandths of the box, lag and recovery in frames"
    heads = ("Jitter", "Lag", "Recovery", "Recovered", "False faces", "Missed", "ms a step")
    table = new_table(title, ("Method",), heads)
    for row in report.rows:
        b = row.behaviour
        recovered = f"{number(b.recovered)} of {b.occlusions}"
        cells = (f"{b.jitter:.2f}", f"{b.lag:.2f}", f"{b.recovery:.0f}", recovered)
        missed = number(row.categories[ALL].missed)
        table.add_row(row.name, *cells, number(b.false_faces), missed, f"{b.ms:.1f}")
    return table


def _comparisons(report: TrackReport) -> Table:
    confidence = report.comparisons[0].interval.confidence
    title = f"AUC differences, paired bootstrap over videos, {confidence:.0%} interval"
    heads = ("Difference", "From", "To", "FR difference")
    table = new_table(title, ("Trackers", "Videos"), heads)
    for c in report.comparisons:
        numbers = (c.interval.difference, c.interval.low, c.interval.high, c.fr_difference)
        table.add_row(f"{c.first} - {c.second}", c.videos, *(signed(v, 4) for v in numbers))
    return table


def _clips(report: TrackReport) -> Table:
    heads = ("Frames", "Followed", "From", "Lost", "Longest lost s", "Ids", "Switches", "ms a step")
    table = new_table("Clips without landmarks", ("Tracker", "Clip"), heads)
    for c in report.clips:
        first = "-" if c.first is None else str(c.first)
        switches = "-" if c.switches is None else str(c.switches)
        numbers = (str(c.frames), str(c.followed), first, str(c.lost))
        rest = (f"{c.longest_lost / c.fps:.2f}", str(c.faces), switches, f"{c.ms:.1f}")
        table.add_row(c.tracker, c.clip, *numbers, *rest)
    return table


def _cell(categories: Mapping[str, Accuracy], column: str) -> float:
    """The value under a column such as `1 AUC`; not a number where there is no such category."""
    category, measure = column.split()
    found = categories.get(category)
    return math.nan if found is None else float(getattr(found, measure.lower()))
