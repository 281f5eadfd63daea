"""What holds for every test: the caller's settings stay out, and slow machines are no failure."""

import os

import pytest
from hypothesis import settings

settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the caller's COUNTENANCE_... variables: a test sets those it means."""
    for name in [name for name in os.environ if name.startswith("COUNTENANCE_")]:
        monkeypatch.delenv(name)
