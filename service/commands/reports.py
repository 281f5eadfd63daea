"""Answers about photographs into text: for people, as JSON lines, or as one CSV table."""

import json
from collections.abc import Callable, Mapping

from service.openface import OPENFACE_COLUMNS, OUR_COLUMNS, face_rows, write_rows
from service.schemas import AlignReply, Face, Pose

# A report is made of the photograph's name and the answer.
Report = Callable[[str, AlignReply], str]


def as_json_line(photo: str, reply: AlignReply) -> str:
    """One JSON object: the photograph's name, then the body of `POST /align`."""
    body = reply.model_dump(mode="json", by_alias=True, exclude_none=True)
    return json.dumps({"photo": photo} | body, ensure_ascii=False) + "\n"


def align_csv_header(what: str) -> str:
    """The names of the columns: `what`, then OpenFace's, then ours."""
    return write_rows([[what, *OPENFACE_COLUMNS, *OUR_COLUMNS]])


def as_csv_rows(photo: str, reply: AlignReply) -> str:
    """One row a face, OpenFace's columns behind the photograph's name."""
    return write_rows([photo, *row] for row in face_rows(reply))


def as_text(photo: str, reply: AlignReply) -> str:
    """Some lines for people: what was found, whole pixels and degrees."""
    count = len(reply.faces)
    lines = [f"{photo}: {count} face{'' if count == 1 else 's'}"]
    lines += [f"  note: {note}" for note in reply.notes]
    lines += [f"  {number}. {_describe(face)}" for number, face in enumerate(reply.faces, 1)]
    return "\n".join(lines) + "\n"


FORMATS: Mapping[str, Report] = {"csv": as_csv_rows, "json": as_json_line, "text": as_text}


def _describe(face: Face) -> str:
    x1, y1, x2, y2 = (round(value) for value in face.box)
    return (
        f"box {x1},{y1}-{x2},{y2}  quality {face.quality:.2f}  {face.degradation.kind}"
        f"{', denoised' if face.denoised else ''}  {_describe_pose(face.pose)}"
    )


def _describe_pose(pose: Pose | None) -> str:
    if pose is None:
        return "no pose"
    return f"pitch {pose.pitch_deg:+.0f}° yaw {pose.yaw_deg:+.0f}° roll {pose.roll_deg:+.0f}°"
