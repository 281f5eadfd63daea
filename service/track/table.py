"""The faces of a clip as a table with OpenFace's column names, ours behind them."""

from typing import Any

from service.actions import ACTIONS, UNIT_COLUMNS, action_values, unit_values
from service.clips.replies import ClipHead
from service.openface import (
    BOX_COLUMNS,
    FRAME_COLUMNS,
    POINT_COLUMNS,
    POSE_COLUMNS,
    frame_columns,
    openface_points,
    openface_pose,
)
from service.schemas import TrackedFace
from service.track.clip_replies import TrackMoment

OPENFACE_COLUMNS = (*FRAME_COLUMNS, *POSE_COLUMNS, *POINT_COLUMNS, *UNIT_COLUMNS)
OUR_COLUMNS = (*BOX_COLUMNS, "status", "degradation", "variant", "model_version", *ACTIONS)
TRACK_COLUMNS = (*OPENFACE_COLUMNS, *OUR_COLUMNS)


def track_rows(moment: TrackMoment, head: ClipHead) -> list[list[Any]]:
    """Return the values of TRACK_COLUMNS, a row a face; None where not known.

    A frame without a face has a row too, with `success` 0 and `face_id` 0. `frame` counts from 1,
    `timestamp` is in seconds, angles are in radians, places in millimetres.
    """
    frame, model = moment.frame, (head.variant, head.model.version)
    if not moment.faces:
        nothing = [None] * len((*POSE_COLUMNS, *POINT_COLUMNS, *UNIT_COLUMNS, *BOX_COLUMNS))
        told = [moment.status, None, *model, *action_values(None)]
        return [[*frame_columns(frame, moment.time_s, None), *nothing, *told]]
    return [
        [
            *frame_columns(frame, moment.time_s, face),
            *_face_values(face),
            *model,
            *action_values(face.actions),
        ]
        for face in moment.faces
    ]


def _face_values(face: TrackedFace) -> list[Any]:
    nowhere = [None] * len(POINT_COLUMNS)
    return [
        *openface_pose(face.pose),
        *(nowhere if face.landmarks is None else openface_points(face.landmarks)),
        *unit_values(face.actions),
        *face.box,
        face.status,
        face.degradation and face.degradation.kind,
    ]
