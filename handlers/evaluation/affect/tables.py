"""An affect report to tables on a terminal, in the thesis's layouts, published rows beside."""

import math
from collections.abc import Iterator, Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from handlers.evaluation.affect.agreement import MEASURES, NEITHER, Agreement, Difference, Score
from handlers.evaluation.affect.harmed import MOVE, STRETCH_S
from handlers.evaluation.affect.measuring import AffectFigures, AffectReport
from handlers.evaluation.affect.portions import ATTENTION, DECIDER, Portion
from handlers.evaluation.affect.rows import printed
from handlers.evaluation.output import (
    PUBLISHED_STYLE,
    layout_title,
    marked,
    new_table,
    number,
    percent,
    signed,
    with_notes,
    with_published,
)
from handlers.evaluation.published import PublishedAffect, PublishedEstimator, PublishedPortions

SIDES = {"VAL": "valence", "ARO": "arousal", "AVG": "average"}
BOTH = ("VAL", "ARO")
OTHER = "data and labels"
NOTHING = (math.nan,) * 4


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
    """Return all figures, the thesis's tables with ours on top, comparisons, portions, harms."""
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


def value(agreement: Agreement, measure: str, side: str) -> float:
    """Return a cell: a measure such as RMSE under VAL, ARO or AVG."""
    score: Score = getattr(agreement, SIDES[side])
    return float(getattr(score, measure.lower()))


def portion_tables(report: AffectReport) -> Iterator[RenderableType]:
    """Return a published table with our rows on top, for each that we have rows for."""
    for published in report.published_portions:
        ours = [p for p in report.portions if _is_of_table(p, published)]
        if ours:
            yield _portions_beside(ours, published, report.data)


def _is_of_table(portion: Portion, published: PublishedPortions) -> bool:
    """Tell whether a row belongs there: single modalities where AVi-GaS is absent."""
    joined = any(row.method == printed(DECIDER) for row in published.rows)
    return portion.quantity == published.quantity and (portion.decider == DECIDER) == joined


def _portions_beside(
    ours: Sequence[Portion], published: PublishedPortions, data: str
) -> RenderableType:
    """Return the levels below each other: in each our rows, then the published ones."""
    title = layout_title(data, published)
    heads = [f"{name}\n{side}" for name in ("RMSE", "gain", "COR", "gain") for side in BOTH]
    table = new_table(title, ("Level", "Method", "Data"), ("Share", *heads))
    for index, level in enumerate(published.levels):
        said = f"> {level:.1%}" if published.quantity == ATTENTION else f"T = {level:g}"
        for portion in ours:
            if portion.level == level:
                cells = (percent(portion.share), *_measured(portion))
                table.add_row(said, printed(portion.model), data, *cells)
        for row in published.rows:
            values = row.values[index]
            gains = row.gains[index] if row.gains else NOTHING
            cells = ("", *_portion_cells(values[:2], gains[:2], values[2:], gains[2:]))
            name = marked(row, published.rows)
            where = f"{published.data}, published"
            table.add_row(said, name, where, *cells, style=PUBLISHED_STYLE)
        table.add_section()
    return with_notes(table, published.rows, published.note, OTHER)


def _measured(portion: Portion) -> list[str]:
    found, gain = portion.agreement, portion.gain
    return _portion_cells(
        (found.valence.rmse, found.arousal.rmse),
        NOTHING if gain is None else gain.rmse,
        (found.valence.cor, found.arousal.cor),
        NOTHING if gain is None else gain.cor,
    )


def _portion_cells(
    rmse: Sequence[float],
    rmse_gain: Sequence[float],
    cor: Sequence[float],
    cor_gain: Sequence[float],
) -> list[str]:
    """Return valence and arousal of each, NOTHING for both where there is none."""
    return [
        *map(number, rmse),
        *(percent(value, "+") for value in rmse_gain[:2]),
        *map(number, cor),
        *(percent(value, "+") for value in cor_gain[:2]),
    ]


def harm_tables(report: AffectReport) -> Iterator[Table]:
    """Return the tables of harms, as far as these were tried."""
    if report.survivals:
        yield _survivals(report)
    if report.moves:
        yield _moves(report)
    if report.changes:
        yield _changes(report)


def _survivals(report: AffectReport) -> Table:
    """Return CCC with a modality destroyed; the margin is over the better single modality."""
    heads = (*(f"CCC\n{side}" for side in SIDES), "Answered", "Margin")
    table = new_table("With one modality destroyed", ("Harm", "Method"), heads)
    for survival in report.survivals:
        for name, found in survival.agreements.items():
            margin = survival.margin.get(name)
            shown = "best single" if name == survival.better else ""
            table.add_row(
                survival.harm,
                printed(name),
                *(number(value(found, "CCC", side)) for side in SIDES),
                percent(found.answered),
                shown if margin is None else signed(margin),
            )
        table.add_section()
    return table


def _moves(report: AffectReport) -> Table:
    title = f"The gate under harm: moves to the healthy side, in stretches of {STRETCH_S:g} s"
    heads = ("Stretches", "Forced", "Mean move", f"Moved {MOVE:g}\nor more")
    table = new_table(title, ("Method", "Harm", "Of", "Strength"), heads)
    for move in report.moves:
        counts = (str(move.stretches), str(move.forced))
        cells = (number(move.move), percent(move.noticed))
        words = (move.harm, move.modality, move.strength)
        table.add_row(printed(move.model), *words, *counts, *cells)
    return table


def _changes(report: AffectReport) -> Table:
    title = "Voices as other channels bring them: mean change from the same clip as it is"
    heads = ("Voice\nused", "ARO less\nits label", "VAL\nmoves", "ARO\nmoves")
    table = new_table(title, ("Method", "Channel"), heads)
    for one in report.changes:
        numbers = (number(value) for value in (one.bias, one.valence, one.arousal))
        table.add_row(printed(one.name), one.channel, percent(one.voiced), *numbers)
    return table


def _summary(report: AffectReport) -> Table:
    """Return all measures of all rows, and below each its parts."""
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


def _belongs(row: AffectFigures, published: PublishedAffect) -> bool:
    name = printed(row.name)
    methods = [line.method for line in published.rows]
    return any(name == method or name.startswith(f"{method}-") for method in methods) or any(
        method.startswith(f"{name}-") and method.rpartition("-")[2].isdecimal()
        for method in methods
    )


def _columns(published: PublishedAffect) -> list[tuple[str, str]]:
    return [(m, side) for m in published.measures for side in published.dimensions]


def _beside(rows: Sequence[AffectFigures], published: PublishedAffect, data: str) -> RenderableType:
    """Return our rows, then the published ones."""
    title = layout_title(data, published)
    heads = [f"{measure}\n{side}" for measure, side in _columns(published)]
    table = new_table(title, ("Method", "Data"), heads)
    for row in rows:
        cells = [number(value(row.mean, *column)) for column in _columns(published)]
        table.add_row(printed(row.name), data, *cells)
    return with_published(table, published, OTHER, lambda _: published.data)


def _by_fold(
    rows: Sequence[AffectFigures], published: PublishedAffect, data: str
) -> RenderableType:
    """Return measures below each other, folds beside each other, as Tables B.6 and B.7."""
    title = layout_title(data, published)
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
    return with_notes(table, published.rows, published.note, OTHER)


def _fold_cells(line: PublishedEstimator, measure: int, sides: int) -> Iterator[str]:
    for values in (*line.folds, line.values):
        yield from map(number, values[measure * sides : (measure + 1) * sides])


def _differences(report: AffectReport) -> RenderableType:
    """Return a line a pair and dimension; beside it the interval for each kind of people drawn."""
    lines: dict[tuple[str, str, str], list[Difference]] = {}
    for d in report.differences:
        lines.setdefault((d.first, d.second, d.dimension), []).append(d)
    drawn = [f"{d.groups} {d.over}s" for d in next(iter(lines.values()))]
    confidence = report.differences[0].interval.confidence
    title = f"Differences in CCC where both answer, paired bootstrap, {confidence:.0%} intervals"
    heads = ("Difference", *(f"{who}\nfrom   to" for who in drawn), "Better")
    table = new_table(title, ("Methods", "Of"), heads)
    for (first, second, dimension), found in lines.items():
        cells = [f"{signed(d.interval.low)} {signed(d.interval.high)}" for d in found]
        verdicts = {d.verdict for d in found}
        better = verdicts.pop() if len(verdicts) == 1 else NEITHER
        table.add_row(
            f"{printed(first)} - {printed(second)}",
            dimension,
            signed(found[0].interval.difference),
            *cells,
            better if better == NEITHER else printed(better),
        )
    said = "Better: no interval holds 0." if len(drawn) > 1 else "Better: the interval holds no 0."
    return Group(table, Text(said, style=PUBLISHED_STYLE))
