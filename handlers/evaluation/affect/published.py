"""The affect rows that the thesis printed, as data, to stand beside measured ones."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """One method; `values` run through the table's measures, then its dimensions, not a number
    where nothing is printed; `folds` hold the same for each fold where the table has them."""

    method: str
    values: tuple[float, ...]
    folds: tuple[tuple[float, ...], ...]
    note: str | None


@dataclass(frozen=True, slots=True)
class PublishedTable:
    """One table on one data set; RMSE is on [-1, 1]."""

    name: str
    title: str
    data: str
    measures: tuple[str, ...]
    dimensions: tuple[str, ...]
    note: str | None
    rows: tuple[PublishedRow, ...]


@dataclass(frozen=True, slots=True)
class PublishedPortionRow:
    """One method; of each level RMSE and COR of valence and arousal, and their gains (fractions)
    in the same order, not a number where nothing is printed."""

    method: str
    values: tuple[tuple[float, ...], ...]
    gains: tuple[tuple[float, ...], ...]
    note: str | None


@dataclass(frozen=True, slots=True)
class PublishedPortions:
    """One table by levels of attention's spread or of the gate."""

    name: str
    title: str
    data: str
    quantity: str
    levels: tuple[float, ...]
    note: str | None
    rows: tuple[PublishedPortionRow, ...]


def affect_tables() -> tuple[PublishedTable, ...]:
    """Tables 5.1-5.2, 6.1-6.2, 7.1-7.2, 7.5-7.6, 7.11-7.12, and by fold B.6-B.7."""
    return tuple(
        PublishedTable(
            table["name"],
            table["title"],
            table["data"],
            tuple(table["measures"]),
            tuple(table["dimensions"]),
            table.get("note"),
            tuple(
                PublishedRow(
                    row["method"], tuple(row["values"]), _lists(row, "folds"), row.get("note")
                )
                for row in table["rows"]
            ),
        )
        for table in _read()["tables"]
    )


def affect_portions() -> tuple[PublishedPortions, ...]:
    """Tables 7.3-7.4 and 7.7-7.10."""
    return tuple(
        PublishedPortions(
            table["name"],
            table["title"],
            table["data"],
            table["quantity"],
            tuple(table["levels"]),
            table.get("note"),
            tuple(
                PublishedPortionRow(
                    row["method"], _lists(row, "values"), _lists(row, "gains"), row.get("note")
                )
                for row in table["rows"]
            ),
        )
        for table in _read()["portions"]
    )


def _lists(row: Mapping[str, Any], key: str) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(part) for part in row.get(key, ()))


def _read() -> dict[str, Any]:
    folder = files("handlers.evaluation") / "published"
    return tomllib.loads((folder / "affect.toml").read_text(encoding="utf-8"))
