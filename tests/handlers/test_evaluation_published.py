"""The published tables hold what the thesis printed, in one unit, with its conflicts marked."""

import pytest

from handlers.evaluation.published import PublishedTable, alignment_tables
from handlers.processing.degradations import LEVELS


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
