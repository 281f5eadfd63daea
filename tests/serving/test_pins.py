"""The command that says when an image is old, on what a registry of versions answers."""

from datetime import date

import pytest

from tests.serving.pins import FILES, PRODUCTS, ROOT, Pin, check, fault_of, find_pins

TODAY = date(2026, 1, 1)
LINES = [
    {"cycle": "7.4", "latest": "7.4.7", "eol": False},
    {"cycle": "7.2", "latest": "7.2.12", "eol": "2025-06-01"},
    {"cycle": "6", "latest": "6.2.21", "eol": "2027-01-01"},
]


def test_every_image_of_others_is_pinned_and_looked_at():
    pins = find_pins({name: (ROOT / name).read_text() for name in FILES})
    assert {pin.image for pin in pins} == PRODUCTS.keys()
    assert all(pin.version.count(".") == 2 for pin in pins)
    # One image has one version everywhere.
    assert len({(pin.image, pin.version) for pin in pins}) == len(PRODUCTS)


@pytest.mark.parametrize(
    ("version", "fault"),
    [
        ("7.4.7", None),
        ("7.4.8", None),
        ("7.4.2", "7.4.7 is newer"),
        ("7.2.12", "its line 7.2 is kept up no more"),
        ("6.2.20", "6.2.21 is newer"),
        ("5.0.1", "5.0.1 is of no known line"),
    ],
)
def test_a_pin_is_old_where_its_line_has_gone_on_or_ended(version, fault):
    assert fault_of(Pin("redis", version, "compose"), LINES, TODAY) == fault


def test_what_cannot_be_looked_up_is_no_success():
    def ask(product: str):
        raise OSError("no way out")

    (told,) = check([Pin("redis", "7.4.7", "compose")], ask, TODAY)
    assert told == "compose: redis:7.4.7: could not be looked up (no way out)"
