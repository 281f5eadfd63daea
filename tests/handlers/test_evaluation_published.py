"""The published tables hold what the thesis printed, in one unit, with its conflicts marked."""

import numpy as np
import pytest

from handlers.evaluation.published import (
    PublishedTable,
    affect_portions,
    affect_tables,
    alignment_tables,
)
from handlers.processing.degradations import LEVELS


def published(name: str, method: str) -> tuple[float, ...]:
    (table,) = (t for t in affect_tables() if t.name == name)
    (row,) = (r for r in table.rows if r.method == method)
    return row.values


def test_published_figures_stand_as_printed_in_one_unit() -> None:
    assert published("5.1", "AEG-CD-SZ") == (0.323, 0.350, 0.442, 0.478, 0.405, 0.430)
    assert published("5.2", "AEG-CD-SZ (test)")[-2:] == (0.17, 0.16)
    assert published("6.1", "ANCLaF-SA-8")[:3] == (0.2481, 0.2239, 0.236)
    assert published("6.2", "ANCLaF-SA-8")[3:6] == (0.558, 0.424, 0.491)
    assert published("7.1", "Au-DeS")[2:4] == (0.272, 0.509)
    assert published("7.6", "AVi-GaS")[6:9] == (0.686, 0.583, 0.634)
    assert published("B.6", "ANCLaF-S-8") == (0.2595, 0.22016, 0.3284, 0.4254, 0.272, 0.3436)


def test_published_tables_are_whole() -> None:
    counts = {table.name: len(table.rows) for table in affect_tables()}
    assert counts == {
        **{"5.1": 5, "5.2": 6, "6.1": 16, "6.2": 16, "7.1": 6, "7.2": 6},
        **{"7.5": 4, "7.6": 4, "7.11": 8, "7.12": 8, "B.6": 11, "B.7": 11},
    }
    for table in affect_tables():
        width = len(table.measures) * len(table.dimensions)
        assert all(len(row.values) == width for row in table.rows)
        assert all(len(fold) == width for row in table.rows for fold in row.folds)
        rmse = [v for r in table.rows for v in r.values[: len(table.dimensions)] if v == v]
        assert all(0.1 < value < 0.6 for value in rmse)
    for portions in affect_portions():
        assert {len(row.values) for row in portions.rows} == {3}
        assert len(portions.rows) == 4


def test_folds_of_published_tables_average_to_their_last_column() -> None:
    for table in affect_tables():
        for row in table.rows:
            if row.folds:
                assert np.mean(row.folds, axis=0) == pytest.approx(row.values, abs=2e-4)


def test_what_contradicts_another_place_is_noted() -> None:
    notes = {(t.name, r.method): r.note or "" for t in affect_tables() for r in t.rows}
    assert "no such row" in notes["7.12", "ANCLaF-SA"]
    assert ".285" in notes["7.6", "AVi-GaS"]
    assert "Table 6.2" in notes["5.1", "Baseline"]
    tables = {table.name: table.note or "" for table in affect_tables()}
    assert "+-10" in tables["6.1"]
    assert "root" in tables["5.1"]


def table(name: str) -> PublishedTable:
    return next(found for found in alignment_tables() if found.name == name)


def values(name: str, method: str, data: str) -> tuple[float, ...]:
    (row,) = (r for r in table(name).rows if (r.method, r.data) == (method, data))
    return row.values


@pytest.mark.parametrize(
    ("name", "method", "data", "expected"),
    [
        ("4.1", "DFA", "300-W", (0.014, 0.883, 0.0)),
        ("4.1", "DFA", "Menpo", (0.012, 0.908, 0.0)),
        ("4.1", "ERT", "300-W", (0.051, 0.532, 0.196)),
        ("B.1", "FLL", "300-W", (0.773, 0.001, 0.692, 0.003, 0.429, 0.058)),
        ("B.2", "FADeNN-M", "Menpo", (0.856, 0.001, 0.804, 0.001, 0.640, 0.064)),
        ("B.3", "FLL", "Menpo", (0.795, 0.008, 0.721, 0.023, 0.650, 0.052)),
        ("B.4", "ECT", "300-W", (0.780, 0.008, 0.773, 0.005, 0.739, 0.117)),
        ("B.5", "FADeNN-S", "Menpo", (0.861, 0.0)),
    ],
)
def test_figures_stand_as_printed(
    name: str, method: str, data: str, expected: tuple[float, ...]
) -> None:
    assert values(name, method, data) == expected


@pytest.mark.parametrize("name", ["4.1", "B.1", "B.2", "B.3", "B.4", "B.5"])
def test_every_table_is_whole_and_in_fractions(name: str) -> None:
    found = table(name)
    assert len(found.rows) == 2 * 10
    assert len({(row.method, row.data) for row in found.rows}) == 2 * 10
    for row in found.rows:
        assert len(row.values) == len(found.levels) * len(found.measures)
        assert all(0 <= value <= 1 for value in row.values)


@pytest.mark.parametrize("name", ["B.1", "B.2", "B.3", "B.4"])
def test_the_degraded_tables_have_the_levels_that_we_measure(name: str) -> None:
    found = table(name)
    assert found.levels == LEVELS[found.degradation]


def test_what_contradicts_the_text_is_noted() -> None:
    assert "sigma 2" in (table("B.2").note or "")
    ect = [row for row in table("B.4").rows if row.method == "ECT"]
    assert all("Printed SAN" in (row.note or "") for row in ect)
    (fadenn,) = (r for r in table("4.1").rows if (r.method, r.data) == ("FADeNN", "Menpo"))
    assert ".861" in (fadenn.note or "")
