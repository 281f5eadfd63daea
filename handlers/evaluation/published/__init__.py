"""The rows that the thesis printed, as data, to stand beside measured ones."""

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from pydantic import ConfigDict, TypeAdapter

SETS = ("300-W", "Menpo")
MARK = "not comparable"  # other pictures, other training data, other crops
FORBID = ConfigDict(extra="forbid")
Values = tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedLine:
    """One method; `note` keeps what contradicts another table."""

    __pydantic_config__ = FORBID

    method: str
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedSheet:
    """One table: its number and title, and what is to be known of it."""

    __pydantic_config__ = FORBID

    name: str
    title: str
    note: str | None = None
    mark: str = MARK


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedRow(PublishedLine):
    """One method of alignment on one set; `values` run through the levels, then the measures.

    All are fractions, AUC and FR at 0.08.
    """

    data: str
    values: Values


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedTable(PublishedSheet):
    """One table of alignment: what it degrades by which levels, its rows."""

    degradation: str
    levels: tuple[float, ...]
    measures: tuple[str, ...]
    rows: tuple[PublishedRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedTracker(PublishedLine):
    """One tracker; `values` stand under its table's columns, as fractions, NaN where none is."""

    values: Values


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedTracking(PublishedSheet):
    """One table of tracking: its columns are such as `1 AUC` for category 1."""

    columns: tuple[str, ...]
    rows: tuple[PublishedTracker, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedEstimator(PublishedLine):
    """One method; `values` run through the table's measures, then its dimensions, not a number
    where nothing is printed; `folds` hold the same for each fold where the table has them."""

    values: Values
    folds: tuple[Values, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedAffect(PublishedSheet):
    """One table of affect on one data set; RMSE is on [-1, 1]."""

    data: str
    measures: tuple[str, ...]
    dimensions: tuple[str, ...]
    rows: tuple[PublishedEstimator, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedPortionRow(PublishedLine):
    """One method; of each level RMSE and COR of valence and arousal, and their gains (fractions)
    in the same order, not a number where nothing is printed."""

    values: tuple[Values, ...] = ()
    gains: tuple[Values, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedPortions(PublishedSheet):
    """One table of affect by levels of attention's spread or of the gate."""

    data: str
    quantity: str
    levels: tuple[float, ...]
    rows: tuple[PublishedPortionRow, ...]


def alignment_tables() -> tuple[PublishedTable, ...]:
    """Read Tables 4.1 and B.1-B.5: single-image alignment, clean and under four degradations."""
    tables = _read("alignment.toml")["tables"]
    for table in tables:
        table["rows"] = [_on(data, row) for data in SETS for row in table["rows"]]
    return TypeAdapter(tuple[PublishedTable, ...]).validate_python(tables)


def tracking_tables() -> tuple[PublishedTracking, ...]:
    """Read Tables 2.1-2.3, 3.1, 4.2 and 4.3: 300-VW, rigid, deformable, 3DA-2D, the ablation."""
    tables = _read("tracking.toml")["tables"]
    return TypeAdapter(tuple[PublishedTracking, ...]).validate_python(tables)


def affect_tables() -> tuple[PublishedAffect, ...]:
    """Read Tables 5.1-5.2, 6.1-6.2, 7.1-7.2, 7.5-7.6, 7.11-7.12, and by fold B.6-B.7."""
    tables = _read("affect.toml")["tables"]
    return TypeAdapter(tuple[PublishedAffect, ...]).validate_python(tables)


def affect_portions() -> tuple[PublishedPortions, ...]:
    """Read Tables 7.3-7.4 and 7.7-7.10."""
    tables = _read("affect.toml")["portions"]
    return TypeAdapter(tuple[PublishedPortions, ...]).validate_python(tables)


def _on(data: str, row: dict[str, Any]) -> dict[str, Any]:
    """Pick what a row says of one data set."""
    note = row.get("note", {}).get(data)
    return {"method": row["method"], "data": data, "values": row[data], "note": note}


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads(files(__name__).joinpath(name).read_text(encoding="utf-8"))
