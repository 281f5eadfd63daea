"""What was seen in a clip into text: OpenFace's table, JSON lines, or a line for people."""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from service.actions import ACTIONS, UNIT_COLUMNS, action_values, unit_values
from service.commands.followers import Seen
from service.openface import (
    BOX_COLUMNS,
    FRAME_COLUMNS,
    POINT_COLUMNS,
    POSE_COLUMNS,
    frame_columns,
    openface_points,
    openface_pose,
    write_rows,
)
from service.schemas import TrackedFace

OPENFACE_COLUMNS = (*FRAME_COLUMNS, *POSE_COLUMNS, *POINT_COLUMNS, *UNIT_COLUMNS)
OUR_COLUMNS = (*BOX_COLUMNS, "status", "degradation", "variant", "model_version", *ACTIONS)


def track_csv_header() -> str:
    """The names of the columns: the clip, OpenFace's as its FeatureExtraction has them, ours."""
    return write_rows([["clip", *OPENFACE_COLUMNS, *OUR_COLUMNS]])


def as_csv_rows(clip: str, seen: Seen) -> str:
    """One row a face; a frame without one has a row too, with `success` 0 and `face_id` 0.

    `frame` counts from 1, `timestamp` is in seconds, angles in radians, places in mm.
    What is not known is left empty, while OpenFace writes 0.
    """
    return write_rows([[clip, *row] for row in as_rows(seen)])


def as_rows(seen: Seen) -> list[list[Any]]:
    """The values of OPENFACE_COLUMNS and OUR_COLUMNS, a row a face; None where not known."""
    outputs = seen.outputs
    frame, time_s = seen.shot.number + 1, seen.shot.time_s
    model = (outputs.variant, outputs.model.version)
    if not outputs.faces:
        nothing = [None] * len((*POSE_COLUMNS, *POINT_COLUMNS, *UNIT_COLUMNS, *BOX_COLUMNS))
        told = [outputs.status, None, *model, *action_values(None)]
        return [[*frame_columns(frame, time_s, None), *nothing, *told]]
    return [
        [
            *frame_columns(frame, time_s, face),
            *_face_values(face),
            *model,
            *action_values(face.actions),
        ]
        for face in outputs.faces
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


def as_json_line(clip: str, seen: Seen) -> str:
    """One JSON object a frame: the clip, the frame's number and time, then what `/track` says."""
    moment = {"clip": clip, "frame": seen.shot.number + 1, "time_s": round(seen.shot.time_s, 6)}
    return json.dumps(moment | seen.outputs.model_dump(mode="json"), ensure_ascii=False) + "\n"


@dataclass
class Tally:
    """Counts what a clip's frames say, for one line about it."""

    frames: int = 0
    last_s: float = 0.0
    faces: set[int] = field(default_factory=set)
    statuses: Counter[str] = field(default_factory=Counter)

    def add(self, seen: Seen) -> None:
        """Count one more frame."""
        self.frames += 1
        self.last_s = seen.shot.time_s
        self.faces |= {face.track_id for face in seen.outputs.faces}
        shown = any(face.landmarks is not None for face in seen.outputs.faces)
        lost = bool(seen.outputs.faces) and not shown
        self.statuses["followed" if shown else "lost" if lost else "empty"] += 1

    def as_text(self, clip: str) -> str:
        """One line for people."""
        many = len(self.faces)
        return (
            f"{clip}: {self.frames} frames in {self.last_s:.1f} s, "
            f"{many} face{'' if many == 1 else 's'}; followed in {self.statuses['followed']} "
            f"frames, lost in {self.statuses['lost']}, none in {self.statuses['empty']}\n"
        )
