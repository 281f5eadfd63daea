"""Faces and their actions as tables with OpenFace's column names, ours behind them.

What the actions are and how they were made: docs/facial-actions.md.
"""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence

from service.schemas import POINTS, AlignReply, Face, Point, Pose, TrackedFace

# Those of the landmark networks, in their order. A test compares: no handler is imported here.
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
POSE_COLUMNS = ("pose_Tx", "pose_Ty", "pose_Tz", "pose_Rx", "pose_Ry", "pose_Rz")
POINT_COLUMNS = (
    *(f"x_{index}" for index in range(POINTS)),
    *(f"y_{index}" for index in range(POINTS)),
)
BOX_COLUMNS = ("box_x1", "box_y1", "box_x2", "box_y2")
# The first columns of every table over time, as OpenFace's FeatureExtraction has them.
FRAME_COLUMNS = ("frame", "face_id", "timestamp", "confidence", "success")
NO_FACE = 0
# Those of FaceLandmarkImg, which counts the faces of a picture from 0.
OPENFACE_COLUMNS = ("face", "confidence", *POSE_COLUMNS, *POINT_COLUMNS, *UNIT_COLUMNS)
OUR_COLUMNS = (
    *BOX_COLUMNS,
    "quality",
    "degradation",
    "denoised",
    "model",
    "model_version",
    *ACTIONS,
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


def faces_to_csv(reply: AlignReply) -> str:
    """Return a header and one line a face, as OpenFace's FaceLandmarkImg writes them."""
    return write_rows([(*OPENFACE_COLUMNS, *OUR_COLUMNS), *face_rows(reply)])


def face_rows(reply: AlignReply) -> list[tuple[object, ...]]:
    """Return the values of OPENFACE_COLUMNS and OUR_COLUMNS, a row a face.

    Coordinates are in pixels, angles in radians, places in millimetres; `confidence` is the
    detector's score, empty for a box that the client gave.
    """
    return [
        (*_openface_values(index, face), *_our_values(face, reply))
        for index, face in enumerate(reply.faces)
    ]


def frame_columns(number: int | None, time_s: float, face: TrackedFace | None) -> list[object]:
    """Return the values of FRAME_COLUMNS; `number` counts from 1.

    `confidence` is the validator's probability; a frame without a face has `face_id` 0.
    """
    if face is None:
        return [number, NO_FACE, round(time_s, 6), 0.0, 0]
    seen = int(face.landmarks is not None)
    return [number, face.track_id, round(time_s, 6), face.face_probability, seen]


def write_rows(rows: Iterable[Sequence[object]]) -> str:
    """Return rows of a table as comma-separated values; None is left empty."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def openface_pose(pose: Pose | None) -> list[float | None]:
    """Return the values of POSE_COLUMNS, in millimetres and radians; None where not known."""
    if pose is None:
        return [None] * len(POSE_COLUMNS)
    place: Sequence[float | None] = pose.position_mm or [None] * 3
    angles = (pose.pitch_deg, pose.yaw_deg, pose.roll_deg)
    return [*place, *(round(math.radians(angle), 5) for angle in angles)]


def openface_points(landmarks: Sequence[Point]) -> list[float]:
    """Return the values of POINT_COLUMNS."""
    return [*(x for x, _ in landmarks), *(y for _, y in landmarks)]


def _openface_values(index: int, face: Face) -> tuple[object, ...]:
    return (
        index,
        face.score,
        *openface_pose(face.pose),
        *openface_points(face.landmarks),
        *unit_values(face.actions),
    )


def _our_values(face: Face, reply: AlignReply) -> tuple[object, ...]:
    return (
        *face.box,
        face.quality,
        face.degradation.kind,
        str(face.denoised).lower(),
        reply.model.name,
        reply.model.version,
        *action_values(face.actions),
    )
