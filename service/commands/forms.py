"""Answers about photographs and clips into text that is printed or kept, as they come."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from pydantic import BaseModel

from service.affect.clip import COLUMNS, photograph_rows, table_rows
from service.affect.replies import (
    AffectClipReply,
    AffectFrameLine,
    AffectMoment,
    AffectSummaryLine,
    PhotographFace,
    PhotographReply,
    Spread,
)
from service.client.wire import AffectLine, TrackLine
from service.clips.replies import ClipHead, ClipLine
from service.commands.files import Emit
from service.commands.running import Tick, tell
from service.openface import OPENFACE_COLUMNS, OUR_COLUMNS, face_rows, write_rows
from service.schemas import AlignReply, Face, Pose
from service.track.clip import TRACK_COLUMNS, track_rows
from service.track.replies import TrackFrameLine, TrackSummaryLine

# A report is made of the photograph's name and the answer.
Report = Callable[[str, AlignReply], str]
Line = TrackLine | AffectLine
SUMMARY: Sequence[str] = tuple(
    sorted(set(AffectSummaryLine.model_fields) - {"type", "status", "notes", "timings_ms", "clip"})
)


def tell_notes(name: str, notes: Iterable[str]) -> None:
    """Say on stderr what people should know of an answer."""
    for note in notes:
        tell(f"{name}: note: {note}")


def as_json_line(photo: str, reply: AlignReply) -> str:
    """Return one JSON object: the photograph's name, then the body of `POST /align`."""
    body = reply.model_dump(mode="json", by_alias=True, exclude_none=True)
    return json.dumps({"photo": photo} | body, ensure_ascii=False) + "\n"


def align_csv_header(what: str) -> str:
    """Return the names of the columns: `what`, then OpenFace's, then ours."""
    return write_rows([[what, *OPENFACE_COLUMNS, *OUR_COLUMNS]])


def as_csv_rows(photo: str, reply: AlignReply) -> str:
    """Return one row a face, OpenFace's columns behind the photograph's name."""
    return write_rows([photo, *row] for row in face_rows(reply))


def as_text(photo: str, reply: AlignReply) -> str:
    """Return some lines for people, in whole pixels and degrees."""
    return _listed(photo, reply.notes, map(_describe, reply.faces))


def _listed(photo: str, notes: Iterable[str], faces: Iterable[str]) -> str:
    told = [f"  {number}. {face}" for number, face in enumerate(faces, 1)]
    first = f"{photo}: {len(told)} face{'' if len(told) == 1 else 's'}"
    return "\n".join([first, *(f"  note: {note}" for note in notes), *told]) + "\n"


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


class Form:
    """Text made of the lines of one clip; `header` stands once above the text of many clips.

    `has_notes` says whether the text tells the clip's notes; where not, stderr does.
    """

    header: ClassVar[str] = ""
    has_notes: ClassVar[bool] = True

    def __init__(self, name: str) -> None:
        self._name = name
        self._frames, self._last_s = 0, 0.0

    def tell_unwritten(self, line: Line) -> None:
        """Say on stderr what people should know of a line and the text has no place for."""
        if not self.has_notes:
            tell_notes(self._name, getattr(line, "notes", ()))

    def take(self, line: Line) -> str:
        """Return what a line adds to the text."""
        if isinstance(line, ClipLine):
            self._clip = line
            return ""
        if isinstance(line, TrackFrameLine | AffectFrameLine):
            self._frames, self._last_s = self._frames + 1, line.time_s
            return self.add(line)
        return self.finish(line)

    def progress(self, line: Line) -> tuple[float, float | None]:
        """Return how much of the clip is done by a line, and of how much, None if that is unknown.

        That is in frames, where every one has a line.
        """
        # A moment of sound alone has no frame.
        return getattr(line, "frame", None) or 0, self._clip.expected_frames

    def add(self, frame: Any) -> str:
        """Return what a frame adds."""
        return ""

    def finish(self, last: Any) -> str:
        """Return what comes after the last frame."""
        return ""


class TrackCsv(Form):
    """A row a face, the clip's name in front."""

    header = write_rows([["clip", *TRACK_COLUMNS]])
    has_notes = False

    def add(self, frame: TrackFrameLine) -> str:
        """Return the rows of a frame."""
        return write_rows([[self._name, *row] for row in track_rows(frame, self._clip)])


class TrackJson(Form):
    """One JSON object a frame, the clip's name in front."""

    has_notes = False

    def add(self, frame: TrackFrameLine) -> str:
        """Return the object of a frame, with who answers."""
        who = {"variant": self._clip.variant, "model": self._clip.model.model_dump()}
        told = frame.model_dump(mode="json", by_alias=True, exclude={"type"})
        return json.dumps({"path": self._name, **told, **who}, ensure_ascii=False) + "\n"


class TrackText(Form):
    """One line for people, and the notes."""

    def finish(self, last: TrackSummaryLine) -> str:
        """Return the line."""
        many = last.faces
        return (
            f"{self._name}: {self._frames} frames in {self._last_s:.1f} s, "
            f"{many} face{'' if many == 1 else 's'}; followed in {last.frames_with_face} "
            f"frames, lost in {last.frames_lost}, none in {last.frames_without}"
            f"{_ending(last)}"
        )


class AffectForm(Form):
    """Text about estimates, which are of moments: progress is told in seconds."""

    def progress(self, line: Line) -> tuple[float, float | None]:
        """Return how much of the clip is done by a line, and how long it is."""
        return self._last_s, self._clip.duration_s


class AffectCsv(AffectForm):
    """A row a frame, the clip's name in front."""

    header = write_rows([["clip", *COLUMNS]])
    has_notes = False

    def add(self, frame: AffectFrameLine) -> str:
        """Return the row of a frame."""
        return write_rows([(self._name, *row) for row in table_rows(frame, self._clip)])


class AffectJson(AffectForm):
    """The service's whole answer in a line, the clip's name in front."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._moments: list[AffectMoment] = []

    def add(self, frame: AffectFrameLine) -> str:
        """Keep a frame."""
        self._moments.append(part(AffectMoment, frame))
        return ""

    def finish(self, last: AffectSummaryLine) -> str:
        """Return the object."""
        fields = {**dict(part(ClipHead, self._clip)), **dict(last), "frames": self._moments}
        summary = {name: fields[name] for name in SUMMARY}
        body = AffectClipReply.model_validate({**fields, "summary": summary})
        return _named(self._name, body)


class AffectLines(AffectForm):
    """The service's lines, the clip's name in front of each."""

    def take(self, line: Line) -> str:
        """Return the line."""
        super().take(line)
        return _named(self._name, line)


class AffectText(AffectForm):
    """One line for people, and the notes."""

    def finish(self, last: AffectSummaryLine) -> str:
        """Return the line."""
        most = max(last.seconds, key=lambda quadrant: last.seconds[quadrant])
        where = f", mostly {most}" if last.seconds[most] > 0 else ""
        return (
            f"{self._name}: {self._frames} frames in {last.clip.duration_s or 0:.1f} s; "
            f"valence {_spread(last.valence)}, arousal {_spread(last.arousal)}{where}; "
            f"face in {last.share_with_face:.0%}, voice in {last.share_with_voice:.0%} "
            f"of the frames{_ending(last)}"
        )


def write_down(lines: Iterable[Line], form: Form, write: Emit, tick: Tick) -> None:
    """Write each line of a clip down as it comes; what the form has no place for goes to stderr."""
    for line in lines:
        write(form.take(line))
        form.tell_unwritten(line)
        if isinstance(line, TrackFrameLine | AffectFrameLine):
            tick(*form.progress(line))


TRACK_FORMS: Mapping[str, type[Form]] = {"csv": TrackCsv, "json": TrackJson, "text": TrackText}
AFFECT_FORMS: Mapping[str, type[Form]] = {
    "csv": AffectCsv,
    "json": AffectJson,
    "ndjson": AffectLines,
    "text": AffectText,
}


def photo_as_text(photo: str, reply: PhotographReply) -> str:
    """Return some lines for people: what each face looks like."""
    return _listed(photo, reply.notes, map(_look, reply.faces))


def _look(face: PhotographFace) -> str:
    x1, y1, x2, y2 = (round(value) for value in face.face.box)
    shares = face.expressions or {}
    named = f"{max(shares, key=lambda word: shares[word])}" if shares else face.quadrant
    if face.valence is None or face.arousal is None:
        return f"box {x1},{y1}-{x2},{y2}  no estimate"
    place = f"valence {face.valence:+.2f}  arousal {face.arousal:+.2f}"
    return f"box {x1},{y1}-{x2},{y2}  {place}  {named}"


def photo_as_csv(photo: str, reply: PhotographReply) -> str:
    """Return a row a face, with the columns of clips."""
    return write_rows([(photo, *row) for row in photograph_rows(reply)])


def _photo_as_json(photo: str, reply: PhotographReply) -> str:
    return _named(photo, reply)


AFFECT_PHOTO_FORMS: Mapping[str, Callable[[str, PhotographReply], str]] = {
    "csv": photo_as_csv,
    "json": _photo_as_json,
    "ndjson": _photo_as_json,
    "text": photo_as_text,
}


def part(kind: type[Any], line: BaseModel) -> Any:
    """Return the fields of one of the bodies that a line is made of."""
    return kind.model_construct(**{name: getattr(line, name) for name in kind.model_fields})


def _named(name: str, body: BaseModel) -> str:
    """Return a JSON object with the clip's path as its first member."""
    text = body.model_dump_json(by_alias=True)
    return f'{{"path":{json.dumps(name)},{text[1:]}\n'


def _ending(last: AffectSummaryLine | TrackSummaryLine) -> str:
    """Return the end of the line, and under it what people should know."""
    missing = "; something of the clip is missing" if last.clip.complete is False else ""
    return "".join([missing, "\n", *(f"  note: {note}\n" for note in last.notes)])


def _spread(spread: Spread | None) -> str:
    return "unknown" if spread is None else f"{spread.mean:+.2f} (± {spread.std:.2f})"
