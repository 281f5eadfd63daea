"""A tracking report to tables on a terminal, in the thesis's layouts, published rows beside."""

import math
from collections.abc import Iterator, Mapping

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from handlers.evaluation.published import MARK, PublishedTracking
from handlers.evaluation.track.metrics import Accuracy
from handlers.evaluation.track.report import ALL, TrackReport

PUBLISHED_STYLE = "dim"
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
    table = Table(title=f"As Table {published.name}. {published.title}")
    table.add_column("Method")
    table.add_column("Data")
    for column in published.columns:
        table.add_column(column, justify="right")
    for row in report.rows if ours else ():
        cells = [_cell(row.categories, column) for column in published.columns]
        table.add_row(row.name, report.data, *map(_number, cells))
    return _with_published(table, published, "300-VW")


def _rigid(report: TrackReport, published: PublishedTracking) -> RenderableType:
    """Area under the success curve; trackers without a window stand under the first column."""
    table = Table(title=f"As Table {published.name}. {published.title}")
    table.add_column("Method")
    table.add_column("Data")
    for column in published.columns:
        table.add_column(f"n = {column}", justify="right")
    families: dict[str, dict[str, float]] = {}
    for row in report.rows:
        family, _, window = row.name.partition("-")
        if window in published.columns:
            families.setdefault(family, {})[window] = row.rigid[ALL]
        else:
            families[row.name] = {published.columns[0]: row.rigid[ALL]}
    for family, values in families.items():
        cells = (_number(values.get(column, math.nan)) for column in published.columns)
        table.add_row(family, report.data, *cells)
    return _with_published(table, published, "300-VW")


def _with_published(table: Table, published: PublishedTracking, data: str) -> RenderableType:
    """The published rows and their notes below ours."""
    table.add_section()
    notes = list(dict.fromkeys(line.note for line in published.rows if line.note))
    for line in published.rows:
        mark = f" [{notes.index(line.note) + 1}]" if line.note else ""
        cells = map(_number, line.values)
        where = f"{data}, published, {MARK}"
        table.add_row(Text(line.method + mark), where, *cells, style=PUBLISHED_STYLE)
    lines = [f"[{number}] {note}" for number, note in enumerate(notes, start=1)]
    lines += [published.note] if published.note else []
    return Group(table, *(Text(line, style=PUBLISHED_STYLE) for line in lines))


def _by_group(report: TrackReport) -> Table:
    groups = [name for name in report.rows[0].groups if name != ALL]
    table = Table(title="AUC and FR by kind of video")
    table.add_column("Method")
    for name in groups:
        table.add_column(name, justify="right")
    for row in report.rows:
        cells = (f"{_number(row.groups[g].auc)} {_number(row.groups[g].fr)}" for g in groups)
        table.add_row(row.name, *cells)
    return table


def _behaviour(report: TrackReport) -> Table:
    table = Table(title="Jitter in thousandths of the box, lag and recovery in frames")
    table.add_column("Method")
    heads = ("Jitter", "Lag", "Recovery", "Recovered", "False faces", "Missed", "ms a step")
    for name in heads:
        table.add_column(name, justify="right")
    for row in report.rows:
        b = row.behaviour
        recovered = f"{_number(b.recovered)} of {b.occlusions}"
        cells = (f"{b.jitter:.2f}", f"{b.lag:.2f}", f"{b.recovery:.0f}", recovered)
        missed = _number(row.categories[ALL].missed)
        table.add_row(row.name, *cells, _number(b.false_faces), missed, f"{b.ms:.1f}")
    return table


def _comparisons(report: TrackReport) -> Table:
    confidence = report.comparisons[0].interval.confidence
    table = Table(title=f"AUC differences, paired bootstrap over videos, {confidence:.0%} interval")
    for name in ("Trackers", "Videos"):
        table.add_column(name)
    for name in ("Difference", "From", "To", "FR difference"):
        table.add_column(name, justify="right")
    for c in report.comparisons:
        numbers = (c.interval.difference, c.interval.low, c.interval.high, c.fr_difference)
        table.add_row(f"{c.first} - {c.second}", c.videos, *(f"{v:+.4f}" for v in numbers))
    return table


def _clips(report: TrackReport) -> Table:
    table = Table(title="Clips without landmarks")
    for name in ("Tracker", "Clip"):
        table.add_column(name)
    heads = ("Frames", "Followed", "From", "Lost", "Longest lost s", "Ids", "Switches", "ms a step")
    for name in heads:
        table.add_column(name, justify="right")
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


def _number(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "-"
