"""What holds for every test: the caller's settings stay out, and slow machines are no failure.

A run of all tests says first how long it takes and what it will skip.
"""

import os

import pytest
from hypothesis import settings

from tests.needs import NEEDS

settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the caller's COUNTENANCE_... variables: a test sets those it means."""
    for name in [name for name in os.environ if name.startswith("COUNTENANCE_")]:
        monkeypatch.delenv(name)


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say how long a run of all tests takes, and what is skipped for want of what."""
    if config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return []
    fast = config.getoption("markexpr") == "not slow"
    takes = "some minutes" if fast else "some 10 minutes on two cores (some: `make test-fast`)"
    told = [f"takes {takes}; the page's tests are `make test-browser`"]
    lacking = [f"  {need.what}: {need.how}" for need in NEEDS if not need.is_there]
    return [*told, "skips what needs", *lacking] if lacking else told
