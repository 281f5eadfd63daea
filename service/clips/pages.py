"""The ways a clip's answer can be written, whatever is said of its frames: JSON, lines, a table."""

import io
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from pydantic import BaseModel

from service.clips.replies import ClipHead, ClipInfoBody, ClipLine, ClipTail, ErrorLine
from service.clips.run import Look
from service.errors import ServiceError
from service.live.messages import error_info
from service.openface import write_rows

JSON, NDJSON, CSV, SVG = (
    "application/json",
    "application/x-ndjson",
    "text/csv",
    "image/svg+xml",
)


class Page(Protocol):
    """Writes one answer. What is returned early is sent early; nothing is for later."""

    def begin(self, head: ClipHead, clip: ClipInfoBody) -> bytes:
        """Take what is known before the first frame."""

    def add(self, look: Look[Any]) -> bytes:
        """Take one frame."""

    def finish(self, clip: ClipInfoBody, summary: BaseModel, tail: ClipTail) -> bytes:
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
    """One JSON object of the class `reply`; its frames are kept as written, which is smaller."""

    def __init__(self, reply: type[BaseModel]) -> None:
        self._reply = reply
        self._frames = io.BytesIO()

    def add(self, look: Look[Any]) -> bytes:
        """Write one frame."""
        if self._frames.tell():
            self._frames.write(b",")
        self._frames.write(_json(look.frame))
        return b""

    def finish(self, clip: ClipInfoBody, summary: BaseModel, tail: ClipTail) -> bytes:
        """Put the frames into the rest."""
        rest = self._reply.model_construct(
            **dict(self.head), **dict(tail), clip=clip, frames=[], summary=summary
        )
        before, empty, after = _json(rest).rpartition(b'"frames":[]')
        return before + empty[:-1] + self._frames.getvalue() + b"]" + after


class LinesPage:
    """A line for the clip, one a frame, and one for the summary, each sent at once."""

    def __init__(self, frame_line: type[BaseModel], summary_line: type[BaseModel]) -> None:
        self._frame_line, self._summary_line = frame_line, summary_line

    def begin(self, head: ClipHead, clip: ClipInfoBody) -> bytes:
        """The first line."""
        return _json(ClipLine.model_construct(**dict(head), **dict(clip))) + b"\n"

    def add(self, look: Look[Any]) -> bytes:
        """A frame's line."""
        return _json(self._frame_line.model_construct(**dict(look.frame))) + b"\n"

    def finish(self, clip: ClipInfoBody, summary: BaseModel, tail: ClipTail) -> bytes:
        """The last line."""
        last = self._summary_line.model_construct(**dict(summary), **dict(tail), clip=clip)
        return _json(last) + b"\n"

    def fail(self, error: ServiceError) -> bytes:
        """The last line, of an error."""
        return _json(ErrorLine(error=error_info(error))) + b"\n"


Rows = Callable[[Any, ClipHead], Iterable[Sequence[object]]]


class CsvPage(WholePage):
    """A header and the lines that `rows` makes of each frame."""

    def __init__(self, columns: Sequence[str], rows: Rows) -> None:
        self._rows = rows
        self._text = io.StringIO()
        self._text.write(write_rows([columns]))

    def add(self, look: Look[Any]) -> bytes:
        """Write one frame."""
        self._text.write(write_rows(self._rows(look.frame, self.head)))
        return b""

    def finish(self, clip: ClipInfoBody, summary: BaseModel, tail: ClipTail) -> bytes:
        """Return the table."""
        return self._text.getvalue().encode()


def _json(body: BaseModel) -> bytes:
    return body.model_dump_json(by_alias=True).encode()
