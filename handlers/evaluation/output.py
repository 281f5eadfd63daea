"""Shared parts of all reports: tables and notes on a terminal, a bar, files, marks on pictures."""

import csv
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import orjson
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.progress import Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from handlers.checkpoint import annotate, load_checkpoint
from handlers.evaluation.published import MARK, PublishedLine, PublishedSheet
from handlers.processing.arrays import Floats, Image

Thing = TypeVar("Thing")

FIGURES = "figures"
WIDTH = 220
PUBLISHED_STYLE = "dim"
GREEN, RED = (0, 220, 0), (230, 30, 30)  # what was found, and the truth


def write_json(content: object, path: Path) -> None:
    """Write dataclasses, mappings and arrays; what is not a number is null."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE
    path.write_bytes(orjson.dumps(content, option=options))


def write_csv(path: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    """Write one line a mapping, its keys as columns; a number that is none stays empty."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(lines[0]) if lines else [])
        writer.writeheader()
        for line in lines:
            writer.writerow({key: real(value) for key, value in line.items()})


def record(folder: Path, data: str, figures: Mapping[str, Any]) -> None:
    """Keep a model's figures on some data in its configuration, beside those on other data."""
    kept = load_checkpoint(folder).config.get(FIGURES, {})
    annotate(folder, **{FIGURES: kept | {data: figures}})


def rounded(value: float) -> float | None:
    """Round to four decimals; None where there is no number, since JSON has no word for that."""
    return round(value, 4) if math.isfinite(value) else None


def real(value: Any) -> Any:
    """Return None for a number that is not finite, everything else as it is."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def number(value: float) -> str:
    """Write three decimals, or a dash."""
    return f"{value:.3f}" if math.isfinite(value) else "-"


def signed(value: float, decimals: int = 3) -> str:
    """Write a difference with its sign, or a dash."""
    return f"{value:+.{decimals}f}" if math.isfinite(value) else "-"


def percent(value: float, sign: str = "") -> str:
    """Write one decimal of a percentage, or a dash."""
    return f"{100 * value:{sign}.1f}%" if math.isfinite(value) else "-"


def new_table(title: str, words: Sequence[str], numbers: Sequence[str] = ()) -> Table:
    """Make an empty table with columns of words on the left, then of numbers."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=0, show_edge=False)
    for name in words:
        table.add_column(name, no_wrap=True)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def layout_title(data: str, table: PublishedSheet) -> str:
    """Name a table by what was measured, then by the thesis's table whose layout it has."""
    return f"{data}, laid out as Table {table.name} of the thesis ({table.title})"


def marked(row: PublishedLine, rows: Sequence[PublishedLine]) -> Text:
    """Name a published row's method with the number of its note."""
    return Text(f"{row.method} [{_notes(rows).index(row.note) + 1}]" if row.note else row.method)


def with_notes(
    table: Table, rows: Sequence[PublishedLine], note: str | None, other: str
) -> RenderableType:
    """Put the notes of published rows and of their table below it; `other` is what differs."""
    lines = [f"Published rows: {MARK}, other {other}."]
    lines += [f"[{index}] {text}" for index, text in enumerate(_notes(rows), start=1)]
    lines += [note] if note else []
    return Group(table, *(Text(line, style=PUBLISHED_STYLE) for line in lines))


def _notes(rows: Sequence[PublishedLine]) -> list[str]:
    return list(dict.fromkeys(row.note for row in rows if row.note))


def spread(things: Sequence[Thing], limit: int | None) -> Sequence[Thing]:
    """Return all, or `limit` of them at even distances."""
    if limit is None or limit >= len(things):
        return things
    return [things[i * len(things) // limit] for i in range(limit)]


def publish(
    show: Callable[[Console], None],
    write: Callable[[Path], None],
    out: Path | None,
    console: Console | None = None,
) -> None:
    """Show a report on a console, by default standard output; with a folder `out` also write it to
    `report.txt` there, and its files.

    What is no terminal is wide enough for every table.
    """
    shown = console or Console()
    if console is None and not shown.is_terminal:
        shown = Console(width=WIDTH)
    show(shown)
    if out is None:
        return
    out.mkdir(parents=True, exist_ok=True)
    with (out / "report.txt").open("w", encoding="utf-8") as file:
        show(Console(file=file, width=WIDTH))
    write(out)
    shown.print(f"Written to {out}")


def with_published(
    table: Table, published: Any, other: str, where: Callable[[Any], str]
) -> RenderableType:
    """Put published rows below ours, marked, and their notes below the table; `where` names the
    data of a row, `other` is what differs from ours."""
    table.add_section()
    for line in published.rows:
        name, data = marked(line, published.rows), f"{where(line)}, published"
        table.add_row(name, data, *map(number, line.values), style=PUBLISHED_STYLE)
    return with_notes(table, published.rows, published.note, other)


@contextmanager
def progress_bar(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar of `total` steps and the time left on standard error.

    What is yielded adds steps that are done.
    """
    elapsed = (TextColumn("left,"), TimeElapsedColumn(), TextColumn("gone"))
    columns = (*Progress.get_default_columns(), *elapsed)
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=total)
        yield lambda count: progress.advance(task, count)


def dots(image: Image, points: Floats, color: tuple[int, int, int]) -> None:
    """Draw dots at sub-pixel places, in place; points that are not finite are left out."""
    for x, y in points[np.isfinite(points).all(axis=1)]:
        if abs(x) < 1e4 and abs(y) < 1e4:
            centre = (round(float(x) * 16), round(float(y) * 16))
            cv2.circle(image, centre, 24, color, cv2.FILLED, cv2.LINE_AA, shift=4)


def caption(image: Image, text: str, at: tuple[int, int]) -> None:
    """Write white words with a dark edge, in place."""
    for color, width in ((0, 0, 0), 3), ((255, 255, 255), 1):
        cv2.putText(image, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, color, width)
