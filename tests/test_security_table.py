"""SECURITY.md names the tests that hold what it says; they are there."""

import re
from pathlib import Path

TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "SECURITY.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`(?:([\w/]+\.py)::)?(test_\w+)`")


def rows() -> list[str]:
    table = PAGE.partition("## What one client can do to another")[2].partition("\n## ")[0]
    return [line for line in table.splitlines() if line.startswith("| ")][2:]


def test_every_row_of_the_table_names_tests_that_are_there() -> None:
    assert len(rows()) > 10
    for row in rows():
        file = ""
        assert (found := NAMED.findall(row)), row
        for named, test in found:
            file = named or file
            assert re.search(
                rf"^(async )?def {test}\(", (TESTS / file).read_text(), re.MULTILINE
            ), test


def test_every_attack_that_is_named_can_be_tried() -> None:
    named = set(re.findall(r"figures: `(\w+)`", PAGE))
    script = (TESTS / "serving" / "attacks.py").read_text(encoding="utf-8")
    assert named == set(re.findall(r"^async def (\w+)\(target: Target\) -> None:", script, re.M))
