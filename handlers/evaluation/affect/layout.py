"""What all tables of an affect report share: cells, heads, notes."""

import math
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from handlers.evaluation.affect.agreement import Agreement, Score
from handlers.evaluation.published import MARK

PUBLISHED_STYLE = "dim"
SIDES = {"VAL": "valence", "ARO": "arousal", "AVG": "average"}

# Methods and their notes, in the order of a published table.
Notes = Sequence[tuple[str, str | None]]


def value(agreement: Agreement, measure: str, side: str) -> float:
    """A cell: a measure such as RMSE under VAL, ARO or AVG."""
    score: Score = getattr(agreement, SIDES[side])
    return float(getattr(score, measure.lower()))


def number(value: float) -> str:
    """Three decimals, or a dash."""
    return f"{value:.3f}" if math.isfinite(value) else "-"


def percent(value: float, sign: str = "") -> str:
    """One decimal of a percentage, or a dash."""
    return f"{100 * value:{sign}.1f}%" if math.isfinite(value) else "-"


def new_table(title: str, words: Sequence[str], numbers: Sequence[str] = ()) -> Table:
    """An empty table with columns of words on the left, then of numbers."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=0, show_edge=False)
    for name in words:
        table.add_column(name, no_wrap=True)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def with_notes(table: Table, rows: Notes, note: str | None) -> RenderableType:
    """The notes of published rows and of their table below it."""
    lines = [f"Published rows: {MARK}, other data and labels."]
    lines += [f"[{index}] {text}" for index, text in enumerate(_distinct(rows), start=1)]
    lines += [note] if note else []
    return Group(table, *(Text(line, style=PUBLISHED_STYLE) for line in lines))


def marked(method: str, note: str | None, rows: Notes) -> Text:
    """A method's name with the number of its note."""
    return Text(f"{method} [{_distinct(rows).index(note) + 1}]" if note else method)


def _distinct(rows: Notes) -> list[str]:
    return list(dict.fromkeys(text for _, text in rows if text))
