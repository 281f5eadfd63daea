"""The rows that the thesis printed, as data, to stand beside measured ones."""

import tomllib
from dataclasses import dataclass
from importlib.resources import files

SETS = ("300-W", "Menpo")
MARK = "not comparable"  # other pictures, other training data, other crops


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """One method on one set; `values` run through the levels, then through the measures.

    All are fractions, AUC and FR at 0.08. `note` keeps what contradicts another table.
    """

    method: str
    data: str
    values: tuple[float, ...]
    note: str | None


@dataclass(frozen=True, slots=True)
class PublishedTable:
    """One table of the thesis: its number, what it degrades by which levels, its rows."""

    name: str
    title: str
    degradation: str
    levels: tuple[float, ...]
    measures: tuple[str, ...]
    note: str | None
    rows: tuple[PublishedRow, ...]


def alignment_tables() -> tuple[PublishedTable, ...]:
    """Tables 4.1 and B.1-B.5: single-image alignment, clean and under four degradations."""
    text = files(__name__).joinpath("alignment.toml").read_text(encoding="utf-8")
    return tuple(
        PublishedTable(
            name=table["name"],
            title=table["title"],
            degradation=table["degradation"],
            levels=tuple(table["levels"]),
            measures=tuple(table["measures"]),
            note=table.get("note"),
            rows=tuple(
                PublishedRow(row["method"], data, tuple(row[data]), row.get("note", {}).get(data))
                for data in SETS
                for row in table["rows"]
            ),
        )
        for table in tomllib.loads(text)["tables"]
    )
