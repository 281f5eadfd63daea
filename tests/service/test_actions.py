"""Facial actions in tables: their names, and OpenFace's units out of them."""

import pytest

from handlers.networks.actions import ACTIONS as NETWORK_ACTIONS
from service.openface import ACTIONS, UNIT_COLUMNS, UNITS, action_values, unit_values

STILL = dict.fromkeys(ACTIONS, 0.0)


def units(**actions: float) -> dict[str, float | int | None]:
    return dict(zip(UNIT_COLUMNS, unit_values(STILL | actions), strict=True))


def test_tables_name_the_actions_that_the_network_tells() -> None:
    assert ACTIONS == NETWORK_ACTIONS
    assert {name for names in UNITS.values() for name in names} <= set(ACTIONS)


def test_a_unit_is_the_mean_of_its_sides_on_openfaces_scale() -> None:
    found = units(mouthSmileLeft=0.8, mouthSmileRight=0.4, jawOpen=1.0)
    assert found["AU12_r"] == pytest.approx(3.0)
    assert found["AU26_r"] == 5.0
    assert found["AU04_r"] == 0.0


@pytest.mark.parametrize(("blink", "there"), [(0.0, 0), (0.19, 0), (0.2, 1), (1.0, 1)])
def test_a_unit_is_there_from_an_intensity_of_one(blink: float, there: int) -> None:
    assert units(eyeBlinkLeft=blink, eyeBlinkRight=blink)["AU45_c"] == there


def test_lip_suck_has_a_presence_and_no_intensity_as_in_openface() -> None:
    assert units(mouthRollLower=0.9, mouthRollUpper=0.9)["AU28_c"] == 1
    assert "AU28_r" not in UNIT_COLUMNS


def test_a_model_that_does_not_tell_leaves_the_columns_empty() -> None:
    assert set(unit_values(None)) == set(action_values(None)) == {None}
    assert (len(unit_values(None)), len(action_values(None))) == (len(UNIT_COLUMNS), len(ACTIONS))
