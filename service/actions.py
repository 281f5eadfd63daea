"""Facial actions in tables: ARKit's names, and OpenFace's action units where one says the same.

What they are and how they were made: docs/facial-actions.md.
"""

from collections.abc import Mapping

ACTIONS = (
    "browDownLeft",
    "browDownRight",
    "browOuterUpLeft",
    "browOuterUpRight",
    "eyeBlinkLeft",
    "eyeBlinkRight",
    "eyeLookDownLeft",
    "eyeLookDownRight",
    "eyeLookInLeft",
    "eyeLookInRight",
    "eyeLookOutLeft",
    "eyeLookOutRight",
    "eyeLookUpLeft",
    "eyeLookUpRight",
    "eyeSquintLeft",
    "eyeSquintRight",
    "mouthDimpleLeft",
    "mouthDimpleRight",
    "mouthFrownLeft",
    "mouthFrownRight",
    "mouthLowerDownLeft",
    "mouthLowerDownRight",
    "mouthPressLeft",
    "mouthPressRight",
    "mouthSmileLeft",
    "mouthSmileRight",
    "mouthStretchLeft",
    "mouthStretchRight",
    "mouthUpperUpLeft",
    "mouthUpperUpRight",
    "browInnerUp",
    "jawOpen",
    "mouthFunnel",
    "mouthPucker",
    "mouthRollLower",
    "mouthRollUpper",
    "mouthShrugLower",
    "mouthShrugUpper",
    "mouthLeft",
    "mouthRight",
)
# OpenFace's units and the actions whose mean stands for them. AU05, 06, 09, 23 and 25 have none.
UNITS: dict[str, tuple[str, ...]] = {
    "AU01": ("browInnerUp",),
    "AU02": ("browOuterUpLeft", "browOuterUpRight"),
    "AU04": ("browDownLeft", "browDownRight"),
    "AU07": ("eyeSquintLeft", "eyeSquintRight"),
    "AU10": ("mouthUpperUpLeft", "mouthUpperUpRight"),
    "AU12": ("mouthSmileLeft", "mouthSmileRight"),
    "AU14": ("mouthDimpleLeft", "mouthDimpleRight"),
    "AU15": ("mouthFrownLeft", "mouthFrownRight"),
    "AU17": ("mouthShrugLower",),
    "AU20": ("mouthStretchLeft", "mouthStretchRight"),
    "AU26": ("jawOpen",),
    "AU28": ("mouthRollLower", "mouthRollUpper"),
    "AU45": ("eyeBlinkLeft", "eyeBlinkRight"),
}
ONLY_PRESENT = {"AU28"}  # OpenFace gives it no intensity
STRONGEST = 5.0  # of OpenFace's intensities
PRESENT = 1.0  # the least intensity at which a unit counts as there

UNIT_COLUMNS = (
    *(f"{unit}_r" for unit in UNITS if unit not in ONLY_PRESENT),
    *(f"{unit}_c" for unit in UNITS),
)


def unit_values(actions: Mapping[str, float] | None) -> list[float | int | None]:
    """Return the values of UNIT_COLUMNS; None where the model does not tell actions."""
    if actions is None:
        return [None] * len(UNIT_COLUMNS)
    strengths = {
        unit: STRONGEST * sum(actions[name] for name in names) / len(names)
        for unit, names in UNITS.items()
    }
    return [
        *(round(strengths[unit], 2) for unit in UNITS if unit not in ONLY_PRESENT),
        *(int(strength >= PRESENT) for strength in strengths.values()),
    ]


def action_values(actions: Mapping[str, float] | None) -> list[float | None]:
    """Return the values of the columns ACTIONS."""
    return [None if actions is None else actions[name] for name in ACTIONS]
