"""The facial actions that a landmark network can tell, under ARKit's names, and their mirror."""

import numpy as np
from numpy.typing import NDArray

# Of ARKit's 52 those that move in the teacher's answers on photographs: not its cheekPuff,
# cheekSquint, eyeWide, noseSneer, mouthClose, tongueOut, nor its jaw but for opening. Left and
# right are the person's own.
_BOTH_SIDES = (
    "browDown",
    "browOuterUp",
    "eyeBlink",
    "eyeLookDown",
    "eyeLookIn",
    "eyeLookOut",
    "eyeLookUp",
    "eyeSquint",
    "mouthDimple",
    "mouthFrown",
    "mouthLowerDown",
    "mouthPress",
    "mouthSmile",
    "mouthStretch",
    "mouthUpperUp",
)
_SINGLE = (
    "browInnerUp",
    "jawOpen",
    "mouthFunnel",
    "mouthPucker",
    "mouthRollLower",
    "mouthRollUpper",
    "mouthShrugLower",
    "mouthShrugUpper",
)

ACTIONS: tuple[str, ...] = (
    *(name + side for name in _BOTH_SIDES for side in ("Left", "Right")),
    *_SINGLE,
    "mouthLeft",
    "mouthRight",
)


def _other_side(name: str) -> str:
    for side, other in (("Left", "Right"), ("Right", "Left")):
        if name.endswith(side):
            return name.removesuffix(side) + other
    return name


# ACTION_MIRROR[i] is the action that takes the place of action i in the mirrored picture.
ACTION_MIRROR: tuple[int, ...] = tuple(ACTIONS.index(_other_side(name)) for name in ACTIONS)


def named_actions(values: NDArray[np.float32]) -> dict[str, float]:
    """Return the actions `(A,)` of one face by name, none beyond [0, 1]."""
    return dict(zip(ACTIONS, np.clip(values, 0, 1).tolist(), strict=True))
