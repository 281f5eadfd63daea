"""Faces into comma-separated values with OpenFace's column names, ours behind them."""

import csv
import io
import math
from collections.abc import Iterable, Sequence

from service.actions import ACTIONS, UNIT_COLUMNS, action_values, unit_values
from service.schemas import POINTS, AlignReply, Face, Point, Pose, TrackedFace

POSE_COLUMNS = ("pose_Tx", "pose_Ty", "pose_Tz", "pose_Rx", "pose_Ry", "pose_Rz")
POINT_COLUMNS = (
    *(f"x_{index}" for index in range(POINTS)),
    *(f"y_{index}" for index in range(POINTS)),
)
BOX_COLUMNS = ("box_x1", "box_y1", "box_x2", "box_y2")
# The first columns of every table over time, as OpenFace's FeatureExtraction has them.
FRAME_COLUMNS = ("frame", "face_id", "timestamp", "confidence", "success")
NO_FACE = 0
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
