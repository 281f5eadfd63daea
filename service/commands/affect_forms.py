"""What was estimated of a clip into text that is printed or kept: a line, a table, a picture."""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel

from service.affect.clip_replies import (
    AffectClipReply,
    AffectFrameLine,
    AffectMoment,
    AffectSummaryLine,
    Spread,
    Summary,
)
from service.affect.pages import COLUMNS, TimelinePage, table_rows
from service.clips.pages import JsonPage, LinesPage, Page, WholePage
from service.clips.replies import ClipHead, ClipInfoBody, ClipTail
from service.clips.run import Look
from service.openface import write_rows

PLOT = ".svg"


def affect_csv_header() -> str:
    """The names of the columns: the clip, then those of `POST /affect` as CSV."""
    return write_rows([["clip", *COLUMNS]])


class NamedCsv(WholePage):
    """The rows of the service's table without their header, the clip's name in front."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._text = io.StringIO()

    def add(self, look: Look[AffectMoment]) -> bytes:
        """Write one frame."""
        rows = table_rows(look.frame, self.head)
        self._text.write(write_rows([(self._name, *row) for row in rows]))
        return b""

    def finish(self, clip: ClipInfoBody, summary: BaseModel, tail: ClipTail) -> bytes:
        """Return the rows."""
        return self._text.getvalue().encode()


class NamedJson(JsonPage):
    """The service's answer in a line, the clip's name in front."""

    def __init__(self, name: str) -> None:
        super().__init__(AffectClipReply)
        self._name = name

    def finish(self, clip: ClipInfoBody, summary: BaseModel, tail: ClipTail) -> bytes:
        """Return the object."""
        return _named(self._name, super().finish(clip, summary, tail) + b"\n")


class NamedLines(LinesPage):
    """The service's lines, the clip's name in front of each."""

    def __init__(self, name: str) -> None:
        super().__init__(AffectFrameLine, AffectSummaryLine)
        self._name = name

    def begin(self, head: ClipHead, clip: ClipInfoBody) -> bytes:
        """The first line."""
        return _named(self._name, super().begin(head, clip))

    def add(self, look: Look[AffectMoment]) -> bytes:
        """A frame's line."""
        return _named(self._name, super().add(look))

    def finish(self, clip: ClipInfoBody, summary: BaseModel, tail: ClipTail) -> bytes:
        """The last line."""
        return _named(self._name, super().finish(clip, summary, tail))


class TextPage(WholePage):
    """One line for people."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._frames = 0

    def add(self, look: Look[AffectMoment]) -> bytes:
        """Count."""
        self._frames += 1
        return b""

    def finish(self, clip: ClipInfoBody, summary: BaseModel, tail: ClipTail) -> bytes:
        """Return the line."""
        assert isinstance(summary, Summary)
        most = max(summary.seconds, key=lambda quadrant: summary.seconds[quadrant])
        where = f", mostly {most}" if summary.seconds[most] > 0 else ""
        damaged = "" if clip.complete else "; the clip is damaged or cut short"
        return (
            f"{self._name}: {self._frames} frames in {clip.duration_s or 0:.1f} s; "
            f"valence {_spread(summary.valence)}, arousal {_spread(summary.arousal)}{where}; "
            f"face in {summary.share_with_face:.0%}, voice in {summary.share_with_voice:.0%} "
            f"of the frames{damaged}\n"
        ).encode()


FORMS: Mapping[str, Callable[[str], Page]] = {
    "csv": NamedCsv,
    "json": NamedJson,
    "ndjson": NamedLines,
    "text": TextPage,
    PLOT: lambda name: TimelinePage(),
}


@dataclass(frozen=True)
class Output:
    """A page and where its text goes."""

    page: Page
    write: Callable[[str], object]


class Outputs:
    """Writes all pages of a clip at once."""

    def __init__(self, outputs: Sequence[Output]) -> None:
        self._outputs = outputs

    def begin(self, head: ClipHead, clip: ClipInfoBody) -> None:
        """Tell what is known before the first frame."""
        self._each(lambda page: page.begin(head, clip))

    def add(self, look: Look[AffectMoment]) -> None:
        """Tell of one frame."""
        self._each(lambda page: page.add(look))

    def finish(self, clip: ClipInfoBody, summary: BaseModel, tail: ClipTail) -> None:
        """Tell what is known after the last frame."""
        self._each(lambda page: page.finish(clip, summary, tail))

    def _each(self, tell: Callable[[Page], bytes]) -> None:
        for output in self._outputs:
            if text := tell(output.page):
                output.write(text.decode())


def _named(name: str, line: bytes) -> bytes:
    """A JSON object with the clip's path as its first member."""
    return b'{"path":' + json.dumps(name).encode() + b"," + line[1:]


def _spread(spread: Spread | None) -> str:
    return "unknown" if spread is None else f"{spread.mean:+.2f} (± {spread.std:.2f})"
