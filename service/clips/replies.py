"""Replies about clips: the parts that all share, and the ways to write them, in lines or whole."""

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar

from pydantic import BaseModel, Field

from service.errors import ServiceError
from service.live.messages import ErrorInfo, error_info
from service.media.clips.contents import ClipInfo, ClipTotals, Picture
from service.openface import write_rows
from service.options import SEARCHED_PX
from service.schemas import Body, Finite, Milliseconds, ModelVersion, Number, Seconds, TrackedFace

Moment = TypeVar("Moment")
JSON, NDJSON, CSV, SVG = (
    "application/json",
    "application/x-ndjson",
    "text/csv",
    "image/svg+xml",
)
ROUNDING_S = 0.25  # of a length that is declared


class ClipSoundInfo(Body):
    """The sound track; `decoded_s` is known when all of it has been read."""

    sample_rate_hz: int = Field(description="Sample rate of the track, in hertz.")
    channels: int = Field(
        description="Channels of the track; they are mixed into one, at the level of the voice."
    )
    decoded_s: Number | None = Field(description="Seconds of sound that were decoded.")
    expected_s: Number | None = Field(
        description="Seconds of sound that the clip declares; null where it declares none, or "
        "those of the first of joined files alone."
    )
    level_dbfs: Finite | None = Field(
        description="Level of the sound as it came (RMS), in dB of full scale; null for silence."
    )
    peak_dbfs: Finite | None = Field(description="Its peak, in dB of full scale; likewise.")
    band_hz: Number | None = Field(
        description="Highest frequency that is heard in it, in hertz, up to half of 22 050; a "
        "telephone's is below 4000. Level, peak and band are known when all of it has been read."
    )


class ClipInfoBody(Body):
    """The clip as it was read. What it has none of is null, and so are counts not known yet."""

    format: str = Field(description="mp4, mov, webm, mkv, avi, mpeg, wav, mp3, ogg, flac, m4a.")
    duration_s: Number | None = Field(description="Length of the clip, in seconds.")
    width: int | None = Field(description="Width of the upright pictures, in pixels.")
    height: int | None = Field(description="Height of the upright pictures, in pixels.")
    rotation_deg: int = Field(description="How far pictures were turned clockwise, in degrees.")
    decoded_frames: int | None = Field(description="Frames that could be decoded.")
    expected_frames: int | None = Field(
        description="Frames that the file holds, decoded or not, null where nothing says how many "
        "there should be; until it is read, those that it declares, if any."
    )
    used_frames: int | None = Field(description="Frames that were looked at.")
    sound: ClipSoundInfo | None
    complete: bool | None = Field(
        description="Whether all that the file holds or declares was there and could be decoded; "
        "what was not is in `notes`. Null until it is read, and where it does not declare where it "
        "ends, so that it cannot be known whether its end is missing."
    )


class ClipHead(Body):
    """The model that answers, and its frame rate."""

    model: ModelVersion
    variant: str = Field(description="The network that was used, such as `avi-gas` or `dcrt`.")
    rate_hz: Finite | None = Field(
        description="Most frames that are looked at, a second; null where all are."
    )


class ClipTail(Body):
    """The part that is known at the end."""

    status: Literal["ok", "reset"] = Field(
        description="`reset` where the model was exchanged in the middle of the clip."
    )
    notes: list[str] = Field(description="What the client should know.")
    timings_ms: dict[str, Milliseconds] = Field(
        description="Time of each stage over the whole clip, in milliseconds; `total` is from the "
        "end of the upload."
    )


class ClipMoment(Body):
    """A frame's place in its clip."""

    frame: int | None = Field(
        description="Number of the frame in its file, from 1; null in sound alone."
    )
    time_s: Seconds = Field(description="Time of the frame in its clip, in seconds.")


class Line(Body):
    """The beginning of every line."""

    type: str


class ClipLine(ClipInfoBody, ClipHead, Line):
    """The first line: the clip as it declares itself."""

    type: Literal["clip"] = "clip"


class ErrorLine(Line):
    """The last line where the clip could not be read or looked at to its end."""

    type: Literal["error"] = "error"
    status: Literal["error"] = "error"
    error: ErrorInfo


@dataclass(frozen=True)
class FrameAnswer(Generic[Moment]):
    """One frame: what was found, in the clip's own pixels, and what it was found in."""

    frame: Moment
    picture: Picture | None


def _expected_s(declared_s: float | None, decoded_s: float | None) -> float | None:
    """Return the declared seconds, None of joined files: the first one declares its own alone."""
    if declared_s is None or decoded_s is None or decoded_s <= declared_s + ROUNDING_S:
        return declared_s
    return None


def describe_clip(info: ClipInfo, totals: ClipTotals | None) -> ClipInfoBody:
    """Return what is told of a clip; `totals` None while it is being read."""
    measures = totals and totals.sound
    sound = info.sound and ClipSoundInfo(
        sample_rate_hz=info.sound.sample_rate_hz,
        channels=info.sound.channels,
        decoded_s=None if totals is None else totals.decoded_sound_s,
        expected_s=_expected_s(info.sound.expected_s, totals.decoded_sound_s if totals else None),
        level_dbfs=measures and measures.level_dbfs,
        peak_dbfs=measures and measures.peak_dbfs,
        band_hz=measures and measures.band_hz,
    )
    return ClipInfoBody(
        format=info.format,
        duration_s=info.duration_s if totals is None else totals.duration_s,
        width=info.width,
        height=info.height,
        rotation_deg=info.rotation_deg,
        decoded_frames=None if totals is None else totals.decoded_frames,
        expected_frames=info.expected_frames if totals is None else totals.expected_frames,
        used_frames=None if totals is None else totals.used_frames,
        sound=sound,
        complete=None if totals is None else totals.complete,
    )


class Page(Protocol):
    """Writes one answer. What is returned early is sent early; nothing is for later."""

    def begin(self, head: ClipHead, clip: ClipInfoBody) -> bytes:
        """Take what is known before the first frame."""

    def add(self, answer: FrameAnswer[Any]) -> bytes:
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
        """Return nothing: nothing has been sent."""
        return b""


class JsonPage(WholePage):
    """One JSON object of the class `reply`; its frames are kept as written, which is smaller."""

    def __init__(self, reply: type[BaseModel]) -> None:
        self._reply = reply
        self._frames = io.BytesIO()

    def add(self, answer: FrameAnswer[Any]) -> bytes:
        """Write one frame."""
        if self._frames.tell():
            self._frames.write(b",")
        self._frames.write(_json(answer.frame))
        return b""

    def finish(self, clip: ClipInfoBody, summary: BaseModel, tail: ClipTail) -> bytes:
        """Put the frames into the rest."""
        rest = self._reply.model_construct(
            **dict(self.head), **dict(tail), clip=clip, frames=[], summary=summary
        )
        # From the end: notes, which stand before it, may hold the same text.
        before, empty, after = _json(rest).rpartition(b'"frames":[]')
        return before + empty[:-1] + self._frames.getvalue() + b"]" + after


class LinesPage:
    """A line for the clip, one a frame, and one for the summary, each sent at once."""

    def __init__(self, frame_line: type[BaseModel], summary_line: type[BaseModel]) -> None:
        self._frame_line, self._summary_line = frame_line, summary_line

    def begin(self, head: ClipHead, clip: ClipInfoBody) -> bytes:
        """Return the first line."""
        return _json(ClipLine.model_construct(**dict(head), **dict(clip))) + b"\n"

    def add(self, answer: FrameAnswer[Any]) -> bytes:
        """Return a frame's line."""
        return _json(self._frame_line.model_construct(**dict(answer.frame))) + b"\n"

    def finish(self, clip: ClipInfoBody, summary: BaseModel, tail: ClipTail) -> bytes:
        """Return the last line."""
        last = self._summary_line.model_construct(**dict(summary), **dict(tail), clip=clip)
        return _json(last) + b"\n"

    def fail(self, error: ServiceError) -> bytes:
        """Return the last line, of an error."""
        return _json(ErrorLine(error=error_info(error))) + b"\n"


Rows = Callable[[Any, ClipHead], Iterable[Sequence[object]]]


class CsvPage(WholePage):
    """A header and the lines that `rows` makes of each frame."""

    def __init__(self, columns: Sequence[str], rows: Rows) -> None:
        self._rows = rows
        self._text = io.StringIO()
        self._text.write(write_rows([columns]))

    def add(self, answer: FrameAnswer[Any]) -> bytes:
        """Write one frame."""
        self._text.write(write_rows(self._rows(answer.frame, self.head)))
        return b""

    def finish(self, clip: ClipInfoBody, summary: BaseModel, tail: ClipTail) -> bytes:
        """Return the table."""
        return self._text.getvalue().encode()


def _json(body: BaseModel) -> bytes:
    return body.model_dump_json(by_alias=True).encode()


def on_the_wire(picture: Picture) -> dict[str, Any]:
    """Return a picture as models take it without decoding."""
    shape = [picture.height, picture.width, 3]
    return {"dtype": "uint8", "shape": shape, "data": picture.rgb}


def scaled_min_face_px(min_face_px: int, pictures: Sequence[Picture | None]) -> int:
    """Return the smallest face in pictures that may be smaller than the clip's."""
    scale = next((picture.scale for picture in pictures if picture is not None), 1.0)
    # The detector finds none below that.
    return max(SEARCHED_PX, round(min_face_px * scale))


def in_the_clip(face: TrackedFace, scale: float) -> TrackedFace:
    """Bring a face from a picture's pixels to the clip's; pixel centres are whole numbers."""
    if scale == 1:
        return face

    def back(value: float) -> float:
        return round((value + 0.5) / scale - 0.5, 2)

    box = tuple(back(value) for value in face.box)
    landmarks = face.landmarks and [(back(x), back(y)) for x, y in face.landmarks]
    return face.model_copy(update={"box": box, "landmarks": landmarks})
