"""Annotations over time: tables of numbers read strictly, several raters brought to one."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handlers.training.datasets.affect.records import Floats

VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".mpg")
SOUND_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".m4a")


def read_table(path: Path, delimiter: str) -> dict[str, NDArray[np.float64]]:
    """The columns of a csv file that hold nothing but numbers, by their names.

    Raises ValueError for a file without rows and for rows of another length than the first.
    """
    with path.open(newline="", encoding="utf-8-sig") as file:
        header, *rows = csv.reader(file, delimiter=delimiter)
    rows = [row for row in rows if row]
    if not rows or any(len(row) != len(header) for row in rows):
        raise ValueError(f"{path}: needed rows of {len(header)} columns split by {delimiter!r}")
    columns = {}
    for name, values in zip(header, zip(*rows, strict=True), strict=True):
        try:
            columns[name.strip()] = np.array(values, np.float64)
        except ValueError:
            continue
    return columns


def column(table: dict[str, NDArray[np.float64]], name: str, path: Path) -> NDArray[np.float64]:
    """A column of a table whatever case its name is in; raises ValueError where there is none."""
    found = {key.lower(): values for key, values in table.items()}
    if name not in found:
        raise ValueError(f"{path}: no column {name!r} of numbers, found {', '.join(table)}")
    return found[name]


def mean_of_raters(
    traces: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]],
    times_s: NDArray[np.float64],
) -> Floats:
    """The mean `(T,)` at given times of raters' traces, each of times and values."""
    rows = [np.interp(times_s, own_times, values) for own_times, values in traces]
    return np.asarray(np.mean(rows, axis=0), np.float32)


def pair(valence: NDArray[np.float64] | Floats, arousal: NDArray[np.float64] | Floats) -> Floats:
    """Labels `(T, 2)` in [-1, 1]; what rounding or a rater puts beyond is clipped."""
    return np.asarray(np.clip(np.stack([valence, arousal], axis=1), -1, 1), np.float32)


def find_media(folder: Path, stem: str, suffixes: Sequence[str]) -> Path | None:
    """The file of a name with one of the suffixes, None where there is none."""
    paths = (folder / f"{stem}{suffix}" for suffix in suffixes)
    return next((path for path in paths if path.is_file()), None)
