"""The tracking rows that the thesis printed, as data, to stand beside measured ones."""

import tomllib
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class PublishedTracker:
    """One method; `values` stand under its table's columns, as fractions, NaN where none is
    printed. `note` keeps what contradicts another table."""

    method: str
    values: tuple[float, ...]
    note: str | None


@dataclass(frozen=True, slots=True)
class PublishedTracking:
    """One table: its number, title, columns such as `1 AUC` for category 1, and rows."""

    name: str
    title: str
    columns: tuple[str, ...]
    note: str | None
    rows: tuple[PublishedTracker, ...]


def tracking_tables() -> tuple[PublishedTracking, ...]:
    """Tables 2.1-2.3, 3.1, 4.2 and 4.3: 300-VW, rigid, deformable, 3DA-2D and the ablation."""
    folder = files("handlers.evaluation") / "published"
    text = (folder / "tracking.toml").read_text(encoding="utf-8")
    return tuple(
        PublishedTracking(
            table["name"],
            table["title"],
            tuple(table["columns"]),
            table.get("note"),
            tuple(
                PublishedTracker(row["method"], tuple(map(float, row["values"])), row.get("note"))
                for row in table["rows"]
            ),
        )
        for table in tomllib.loads(text)["tables"]
    )
