"""Traces to the figures that are reported, and those to JSON, CSV and tables on a terminal."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console, RenderableType
from rich.table import Table

from handlers.evaluation.metrics import THRESHOLD, Interval, paired_bootstrap
from handlers.evaluation.output import (
    layout_title,
    new_table,
    number,
    signed,
    with_published,
    write_csv,
    write_json,
)
from handlers.evaluation.published import PublishedTracking
from handlers.evaluation.track.clips import ClipResult
from handlers.evaluation.track.metrics import (
    Accuracy,
    Behaviour,
    TrackTrace,
    accuracy,
    behaviour,
    success_auc,
)

ALL = "all"
DATA, OTHER = "300-VW", "videos and training data"
BY_WINDOW, ANOTHER_ANNOTATION = "2.1", "2.3"
BLUR_AND_DARKNESS = ("blurred", "dark")
Traces = Mapping[str, Sequence[TrackTrace]]


@dataclass(frozen=True, slots=True)
class RowFigures:
    """One tracker: accuracy by category and by kind of video, `all` among both, the area under
    the success curve of its boxes by category, and how it behaves."""

    name: str
    categories: Mapping[str, Accuracy]
    groups: Mapping[str, Accuracy]
    rigid: Mapping[str, float]
    behaviour: Behaviour


@dataclass(frozen=True, slots=True)
class TrackComparison:
    """AUC of `first` minus that of `second` on the same frames of `videos`; whole videos drawn."""

    first: str
    second: str
    videos: str
    interval: Interval
    fr_difference: float


@dataclass(frozen=True, slots=True)
class TrackReport:
    """Figures of one run. `weights` are the SHA-256 of every part's weights."""

    data: str
    videos: int
    frames: int
    weights: Mapping[str, str]
    rows: tuple[RowFigures, ...]
    comparisons: tuple[TrackComparison, ...]
    clips: tuple[ClipResult, ...]
    published: tuple[PublishedTracking, ...]


def figures(name: str, traces: Sequence[TrackTrace]) -> RowFigures:
    """Return the figures of one tracker's traces."""

    def by(key: str) -> dict[str, list[TrackTrace]]:
        parts: dict[str, list[TrackTrace]] = {}
        for trace in traces:
            parts.setdefault(str(getattr(trace, key)), []).append(trace)
        return {**dict(sorted(parts.items())), ALL: list(traces)}

    categories = by("category")
    return RowFigures(
        name,
        {key: accuracy(part) for key, part in categories.items()},
        {key: accuracy(part) for key, part in by("group").items()},
        {key: success_auc(part) for key, part in categories.items()},
        behaviour(traces),
    )


def usual_pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    """Return every DCRT against what it is to beat: CRT of its window, DFA-Det and DFA-Prev."""
    found = [name for name in names if name.startswith("DCRT-")]
    return [
        (name, other)
        for name in found
        for other in (name.removeprefix("D"), "DFA-Det", "DFA-Prev")
        if other in names
    ]


def compare(traces: Traces, seed: int = 0) -> tuple[TrackComparison, ...]:
    """Return the paired bootstrap of the usual pairs, over all videos and over the blurred and dark
    ones."""
    found = []
    for first, second in usual_pairs(list(traces)):
        for name, groups in ((ALL, None), ("blur and darkness", BLUR_AND_DARKNESS)):
            pairs = [
                (a, b)
                for a, b in zip(traces[first], traces[second], strict=True)
                if groups is None or a.group in groups
            ]
            if pairs:
                found.append(_compare(first, second, name, pairs, seed))
    return tuple(found)


def _compare(
    first: str, second: str, name: str, pairs: Sequence[tuple[TrackTrace, TrackTrace]], seed: int
) -> TrackComparison:
    one, other = (
        np.concatenate([pair[i].errors[pair[0].counts] for pair in pairs]) for i in (0, 1)
    )
    videos = [pair[0].video for pair in pairs for _ in range(int(pair[0].counts.sum()))]
    fr = float((one > THRESHOLD).mean() - (other > THRESHOLD).mean())
    return TrackComparison(first, second, name, paired_bootstrap(one, other, videos, seed=seed), fr)


def write_report(report: TrackReport, path: Path) -> None:
    """Write the whole report as JSON; what has no value is null."""
    content = {
        "data": report.data,
        "videos": report.videos,
        "frames": report.frames,
        "threshold": THRESHOLD,
        "weights_sha256": report.weights,
        "results": report.rows,
        "comparisons": report.comparisons,
        "clips": report.clips,
        "published": report.published,
    }
    write_json(content, path)


def write_frames_csv(traces: Traces, path: Path) -> None:
    """Write one line a tracker and frame that counts; a missed face has no error."""
    lines = [
        {
            "tracker": name,
            "video": trace.video,
            "group": trace.group,
            "category": trace.category,
            "frame": frame,
            "nme_box": round(float(trace.errors[frame]), 5),
            "overlap": round(float(trace.overlaps[frame]), 4),
        }
        for name, part in traces.items()
        for trace in part
        for frame in np.flatnonzero(trace.counts).tolist()
    ]
    write_csv(path, lines)


def show(report: TrackReport, console: Console) -> None:
    """Print every table of the report."""
    console.print(f"{report.data}: {report.videos} videos, {report.frames} frames", markup=False)
    for table in tables(report):
        console.print(table)


def tables(report: TrackReport) -> Iterator[RenderableType]:
    """Return the thesis's tables with our rows on top, then what the thesis does not have."""
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
    """Return the AUC and FR by category, ours and the published ones."""
    ours = published.name != ANOTHER_ANNOTATION
    title = layout_title(report.data, published)
    table = new_table(title, ("Method", "Data"), published.columns)
    for row in report.rows if ours else ():
        cells = [_cell(row.categories, column) for column in published.columns]
        table.add_row(row.name, report.data, *map(number, cells))
    return with_published(table, published, OTHER, lambda _: DATA)


def _rigid(report: TrackReport, published: PublishedTracking) -> RenderableType:
    """Return the area under the success curve; trackers without a window stand under the first
    column."""
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
    return with_published(table, published, OTHER, lambda _: DATA)


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
    """Return the value under a column such as `1 AUC`; not a number where there is no such
    category."""
    category, measure = column.split()
    found = categories.get(category)
    return math.nan if found is None else float(getattr(found, measure.lower()))
