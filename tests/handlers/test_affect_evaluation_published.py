"""The published tables of affect hold what the thesis printed, in one unit, conflicts marked."""

import numpy as np
import pytest

from handlers.evaluation.published import affect_portions, affect_tables


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
