"""The lines of a clip's answer into text that is printed or kept, as they come."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from pydantic import BaseModel

from service.affect.clip_replies import (
    AffectClipReply,
    AffectFrameLine,
    AffectMoment,
    AffectSummaryLine,
    Spread,
)
from service.affect.pages import COLUMNS, table_rows
from service.client.replies import AffectLine, TrackLine
from service.clips.replies import ClipHead, ClipLine
from service.openface import write_rows
from service.track.clip_replies import TrackFrameLine, TrackSummaryLine
from service.track.table import TRACK_COLUMNS, track_rows

Line = TrackLine | AffectLine


class Form:
    """Text made of the lines of one clip; `header` stands once above the text of many clips."""

    header: ClassVar[str] = ""

    def __init__(self, name: str) -> None:
        self._name = name

    def take(self, line: Line) -> str:
        """Return what a line adds to the text."""
        if isinstance(line, ClipLine):
            self._clip = line
            return self.begin()
        if isinstance(line, TrackFrameLine | AffectFrameLine):
            return self.add(line)
        return self.finish(line)

    def begin(self) -> str:
        """Return what comes before the first frame."""
        return ""

    def add(self, frame: Any) -> str:
        """Return what a frame adds."""
        return ""

    def finish(self, last: Any) -> str:
        """Return what comes after the last frame."""
        return ""


class TrackCsv(Form):
    """A row a face, the clip's name in front."""

    header = write_rows([["clip", *TRACK_COLUMNS]])

    def add(self, frame: TrackFrameLine) -> str:
        """Return the rows of a frame."""
        return write_rows([[self._name, *row] for row in track_rows(frame, self._clip)])


class TrackJson(Form):
    """One JSON object a frame, the clip's name in front."""

    def add(self, frame: TrackFrameLine) -> str:
        """Return the object of a frame, with who answers."""
        who = {"variant": self._clip.variant, "model": self._clip.model.model_dump()}
        told = frame.model_dump(mode="json", by_alias=True, exclude={"type"})
        return json.dumps({"path": self._name, **told, **who}, ensure_ascii=False) + "\n"


class TrackText(Form):
    """One line for people, and the notes."""

    def begin(self) -> str:
        """Begin to count."""
        self._frames, self._last_s = 0, 0.0
        return ""

    def add(self, frame: TrackFrameLine) -> str:
        """Count a frame."""
        self._frames, self._last_s = self._frames + 1, frame.time_s
        return ""

    def finish(self, last: TrackSummaryLine) -> str:
        """Return the line."""
        many = last.faces
        return (
            f"{self._name}: {self._frames} frames in {self._last_s:.1f} s, "
            f"{many} face{'' if many == 1 else 's'}; followed in {last.frames_with_face} "
            f"frames, lost in {last.frames_lost}, none in {last.frames_without}"
            f"{_ending(last)}"
        )


class AffectCsv(Form):
    """A row a frame, the clip's name in front."""

    header = write_rows([["clip", *COLUMNS]])

    def add(self, frame: AffectFrameLine) -> str:
        """Return the row of a frame."""
        return write_rows([(self._name, *row) for row in table_rows(frame, self._clip)])


class AffectJson(Form):
    """The service's whole answer in a line, the clip's name in front."""

    def begin(self) -> str:
        """Begin to keep frames."""
        self._frames: list[AffectMoment] = []
        return ""

    def add(self, frame: AffectFrameLine) -> str:
        """Keep a frame."""
        self._frames.append(part(AffectMoment, frame))
        return ""

    def finish(self, last: AffectSummaryLine) -> str:
        """Return the object."""
        fields = {**dict(part(ClipHead, self._clip)), **dict(last), "frames": self._frames}
        summary = {name: fields[name] for name in SUMMARY}
        body = AffectClipReply.model_validate({**fields, "summary": summary})
        return _named(self._name, body)


class AffectLines(Form):
    """The service's lines, the clip's name in front of each."""

    def take(self, line: Line) -> str:
        """Return the line."""
        return _named(self._name, line)


class AffectText(Form):
    """One line for people, and the notes."""

    def begin(self) -> str:
        """Begin to count."""
        self._frames = 0
        return ""

    def add(self, frame: AffectFrameLine) -> str:
        """Count a frame."""
        self._frames += 1
        return ""

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


Forms = Mapping[str, Callable[[str], Form]]
TRACK_FORMS: Mapping[str, type[Form]] = {"csv": TrackCsv, "json": TrackJson, "text": TrackText}
AFFECT_FORMS: Mapping[str, type[Form]] = {
    "csv": AffectCsv,
    "json": AffectJson,
    "ndjson": AffectLines,
    "text": AffectText,
}
SUMMARY: Sequence[str] = tuple(
    sorted(set(AffectSummaryLine.model_fields) - {"type", "status", "notes", "timings_ms", "clip"})
)


def part(kind: type[Any], line: BaseModel) -> Any:
    """Return the fields of one of the bodies that a line is made of."""
    return kind.model_construct(**{name: getattr(line, name) for name in kind.model_fields})


def _named(name: str, body: BaseModel) -> str:
    """Return a JSON object with the clip's path as its first member."""
    text = body.model_dump_json(by_alias=True)
    return f'{{"path":{json.dumps(name)},{text[1:]}\n'


def _ending(last: AffectSummaryLine | TrackSummaryLine) -> str:
    """Return the end of the line, and under it what people should know."""
    missing = "" if last.clip.complete else "; something of the clip is missing"
    return "".join([missing, "\n", *(f"  note: {note}\n" for note in last.notes)])


def _spread(spread: Spread | None) -> str:
    return "unknown" if spread is None else f"{spread.mean:+.2f} (± {spread.std:.2f})"
