"""The ways a clip's answer can be written: JSON, lines of JSON, a table, a timeline."""

import io
from collections.abc import Callable, Mapping
from typing import Protocol

from service.affect.clip import Look
from service.affect.clip_replies import (
    AffectClipReply,
    ClipHead,
    ClipInfoBody,
    ClipLine,
    ClipMoment,
    ClipTail,
    ErrorLine,
    FrameLine,
    Summary,
    SummaryLine,
)
from service.affect.timeline import FaceStrip, Timeline, draw_timeline
from service.errors import ServiceError
from service.live.replies import error_info
from service.openface import BOX_COLUMNS, FRAME_COLUMNS, frame_columns, write_rows

JSON, NDJSON, CSV, SVG = (
    "application/json",
    "application/x-ndjson",
    "text/csv",
    "image/svg+xml",
)
COLUMNS = (
    *FRAME_COLUMNS,
    *("valence", "arousal", "quadrant", "gate", "face", "voice", "status"),
    *BOX_COLUMNS,
    *("model", "model_version"),
)


class Page(Protocol):
    """Writes one answer. What is returned early is sent early; nothing is for later."""

    def begin(self, head: ClipHead, clip: ClipInfoBody) -> bytes:
        """Take what is known before the first frame."""

    def add(self, look: Look) -> bytes:
        """Take one frame."""

    def finish(self, clip: ClipInfoBody, summary: Summary, tail: ClipTail) -> bytes:
        """Take what is known after the last frame."""

    def fail(self, error: ServiceError) -> bytes:
        """Say that there will be no more, where something has been sent already."""


class WholePage:
    """A page that is sent when it is finished: until then an error is a reply of its own."""

    def begin(self, head: ClipHead, clip: ClipInfoBody) -> bytes:
        """Keep who answers."""
        self.head = head
        return b""

    def fail(self, error: ServiceError) -> bytes:
        """Nothing has been sent."""
        return b""


class JsonPage(WholePage):
    """One JSON object; its frames are kept as written, which is smaller."""

    def __init__(self) -> None:
        self._frames = io.BytesIO()

    def add(self, look: Look) -> bytes:
        """Write one frame."""
        if self._frames.tell():
            self._frames.write(b",")
        self._frames.write(look.frame.model_dump_json().encode())
        return b""

    def finish(self, clip: ClipInfoBody, summary: Summary, tail: ClipTail) -> bytes:
        """Put the frames into the rest."""
        rest = AffectClipReply.model_construct(
            **dict(self.head), **dict(tail), clip=clip, frames=[], summary=summary
        )
        before, empty, after = rest.model_dump_json().encode().rpartition(b'"frames":[]')
        return before + empty[:-1] + self._frames.getvalue() + b"]" + after


class LinesPage:
    """A line for the clip, one a frame, and one for the summary, each sent at once."""

    def begin(self, head: ClipHead, clip: ClipInfoBody) -> bytes:
        """The first line."""
        return _line(ClipLine.model_construct(**dict(head), **dict(clip)))

    def add(self, look: Look) -> bytes:
        """A frame's line."""
        return _line(FrameLine.model_construct(**dict(look.frame)))

    def finish(self, clip: ClipInfoBody, summary: Summary, tail: ClipTail) -> bytes:
        """The last line."""
        return _line(SummaryLine.model_construct(**dict(summary), **dict(tail), clip=clip))

    def fail(self, error: ServiceError) -> bytes:
        """The last line, of an error."""
        return _line(ErrorLine(error=error_info(error)))


class CsvPage(WholePage):
    """A header and one line a frame."""

    def __init__(self) -> None:
        self._text = io.StringIO()
        self._text.write(write_rows([COLUMNS]))

    def add(self, look: Look) -> bytes:
        """Write one frame."""
        self._text.write(write_rows([table_row(look.frame, self.head)]))
        return b""

    def finish(self, clip: ClipInfoBody, summary: Summary, tail: ClipTail) -> bytes:
        """Return the table."""
        return self._text.getvalue().encode()


class TimelinePage(WholePage):
    """The estimates over time as a picture."""

    def __init__(self) -> None:
        self._timeline = Timeline()
        self._faces = FaceStrip()

    def add(self, look: Look) -> bytes:
        """Keep what is drawn of one frame."""
        frame = look.frame
        ages = list(zip(frame.attention_ages_s, frame.attention, strict=True))
        self._timeline.add(frame.time_s, frame.valence, frame.arousal, frame.gate, ages)
        self._faces.add(look)
        return b""

    def finish(self, clip: ClipInfoBody, summary: Summary, tail: ClipTail) -> bytes:
        """Draw."""
        title = f"Valence and arousal by {self.head.variant}, model {self.head.model.version}"
        return draw_timeline(self._timeline, self._faces.faces, title).encode()


PAGES: Mapping[str, Callable[[], Page]] = {
    JSON: JsonPage,
    NDJSON: LinesPage,
    CSV: CsvPage,
    SVG: TimelinePage,
}


def _line(body: ClipLine | FrameLine | SummaryLine | ErrorLine) -> bytes:
    return body.model_dump_json().encode() + b"\n"


def table_row(frame: ClipMoment, head: ClipHead) -> tuple[object, ...]:
    """The values of COLUMNS for one moment; None for what is not known.

    `frame` is the number in the file, from 1 as in OpenFace's tables; sound alone has none.
    """
    face, used = frame.face, [int(name in frame.used) for name in ("face", "voice")]
    return (
        *frame_columns(None if frame.frame is None else frame.frame + 1, frame.time_s, face),
        *(frame.valence, frame.arousal, frame.quadrant, frame.gate),
        *used,
        *([None] * 5 if face is None else [face.status, *face.box]),
        head.model.name,
        head.model.version,
    )
