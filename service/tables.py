"""Faces into comma-separated values with OpenFace's column names, ours behind them."""

import csv
import io
import math

from service.schemas import POINTS, AlignReply, Face

OPENFACE_COLUMNS = (
    "face",
    "confidence",
    "pose_Rx",
    "pose_Ry",
    "pose_Rz",
    *(f"x_{index}" for index in range(POINTS)),
    *(f"y_{index}" for index in range(POINTS)),
)
OUR_COLUMNS = (
    "box_x1",
    "box_y1",
    "box_x2",
    "box_y2",
    "quality",
    "degradation",
    "denoised",
    "model",
    "model_version",
)


def faces_to_csv(reply: AlignReply) -> str:
    """Return a header and one line a face, as OpenFace's FaceLandmarkImg writes them.

    Coordinates are in pixels, angles in radians; `confidence` is the detector's score, empty for a
    box that the client gave.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*OPENFACE_COLUMNS, *OUR_COLUMNS))
    for index, face in enumerate(reply.faces):
        writer.writerow((*_openface_values(index, face), *_our_values(face, reply)))
    return text.getvalue()


def _openface_values(index: int, face: Face) -> tuple[object, ...]:
    angles_deg = (face.pose.pitch_deg, face.pose.yaw_deg, face.pose.roll_deg)
    return (
        index,
        "" if face.score is None else face.score,
        *(round(math.radians(angle), 5) for angle in angles_deg),
        *(x for x, _ in face.landmarks),
        *(y for _, y in face.landmarks),
    )


def _our_values(face: Face, reply: AlignReply) -> tuple[object, ...]:
    return (
        *face.box,
        face.quality,
        face.degradation.kind,
        str(face.denoised).lower(),
        reply.model.name,
        reply.model.version,
    )
