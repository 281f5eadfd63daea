"""Portions by attention and gate to tables in the layouts of Tables 7.3-7.4 and 7.7-7.10."""

import math
from collections.abc import Iterator, Sequence

from rich.console import RenderableType

from handlers.evaluation.affect.layout import (
    PUBLISHED_STYLE,
    marked,
    new_table,
    number,
    percent,
    with_notes,
)
from handlers.evaluation.affect.portions import ATTENTION, DECIDER, Portion
from handlers.evaluation.affect.report import AffectReport
from handlers.evaluation.affect.rows import printed
from handlers.evaluation.published import PublishedPortions

SIDES = ("VAL", "ARO")
NOTHING = (math.nan,) * 4


def portion_tables(report: AffectReport) -> Iterator[RenderableType]:
    """A published table with our rows on top, for each that we have rows for."""
    for published in report.published_portions:
        ours = [p for p in report.portions if _is_of_table(p, published)]
        if ours:
            yield _beside(ours, published, report.data)


def _is_of_table(portion: Portion, published: PublishedPortions) -> bool:
    """Single modalities stand in tables without AVi-GaS."""
    joined = any(row.method == printed(DECIDER) for row in published.rows)
    return portion.quantity == published.quantity and (portion.decider == DECIDER) == joined


def _beside(ours: Sequence[Portion], published: PublishedPortions, data: str) -> RenderableType:
    """The levels below each other: in each our rows, then the published ones."""
    title = f"As Table {published.name}. {published.title}, {published.data}"
    heads = [f"{name}\n{side}" for name in ("RMSE", "gain", "COR", "gain") for side in SIDES]
    table = new_table(title, ("Level", "Method", "Data"), ("Share", *heads))
    notes = [(row.method, row.note) for row in published.rows]
    for index, level in enumerate(published.levels):
        said = f"> {level:.1%}" if published.quantity == ATTENTION else f"T = {level:g}"
        for portion in ours:
            if portion.level == level:
                cells = (percent(portion.share), *_measured(portion))
                table.add_row(said, printed(portion.model), data, *cells)
        for row in published.rows:
            values = row.values[index]
            gains = row.gains[index] if row.gains else NOTHING
            cells = ("", *_cells(values[:2], gains[:2], values[2:], gains[2:]))
            name = marked(row.method, row.note, notes)
            where = f"{published.data}, published"
            table.add_row(said, name, where, *cells, style=PUBLISHED_STYLE)
        table.add_section()
    return with_notes(table, notes, published.note)


def _measured(portion: Portion) -> list[str]:
    found, gain = portion.agreement, portion.gain
    return _cells(
        (found.valence.rmse, found.arousal.rmse),
        NOTHING if gain is None else gain.rmse,
        (found.valence.cor, found.arousal.cor),
        NOTHING if gain is None else gain.cor,
    )


def _cells(
    rmse: Sequence[float],
    rmse_gain: Sequence[float],
    cor: Sequence[float],
    cor_gain: Sequence[float],
) -> list[str]:
    """Valence and arousal of each, NOTHING for both where there is none."""
    return [
        *map(number, rmse),
        *(percent(value, "+") for value in rmse_gain[:2]),
        *map(number, cor),
        *(percent(value, "+") for value in cor_gain[:2]),
    ]
