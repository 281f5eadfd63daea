"""Reports to files, and figures into the configurations of the models that they are of."""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from handlers.checkpoint import annotate, load_checkpoint

FIGURES = "figures"


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
