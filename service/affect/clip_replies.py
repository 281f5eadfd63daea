"""What POST /affect answers: the clip, its frames, a summary; as one body or line by line."""

from typing import Literal

from pydantic import Field

from service.affect.replies import AffectFrame, Quadrant, Signed, Variant
from service.live.replies import ErrorInfo
from service.schemas import Body, Finite, Milliseconds, ModelVersion, Number, Share


class ClipSoundInfo(Body):
    """The sound track; `decoded_s` is known when all of it has been read."""

    sample_rate_hz: int = Field(description="Sample rate of the track, in hertz.")
    channels: int = Field(description="Channels of the track; they are mixed into one.")
    decoded_s: Number | None = Field(description="Seconds of sound that were decoded.")
    expected_s: Number | None = Field(
        description="Seconds of sound that the clip declares; null where it does not."
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
        description="Frames that the file holds, decoded or not; until it is read, those that it "
        "declares, if any."
    )
    used_frames: int | None = Field(description="Frames that were looked at.")
    sound: ClipSoundInfo | None
    complete: bool | None = Field(
        description="Whether all that the file holds or declares was there and could be decoded; "
        "what was not is in `notes`."
    )


class Spread(Body):
    """A quantity over the frames that have it."""

    mean: Signed = Field(description="Mean, in [-1, 1].")
    std: Number = Field(description="Standard deviation.")
    min: Signed = Field(description="Least value, in [-1, 1].")
    max: Signed = Field(description="Greatest value, in [-1, 1].")


class Summary(Body):
    """The clip as a whole."""

    valence: Spread | None = Field(description="Null where no frame has an estimate.")
    arousal: Spread | None = Field(description="Null where no frame has an estimate.")
    seconds: dict[Quadrant, Number] = Field(description="Time in each quadrant, in seconds.")
    share_with_face: Share = Field(description="Share of frames whose face was used.")
    share_with_voice: Share = Field(description="Share of frames whose voice was used.")
    gate_mean: Share | None = Field(
        description="Mean of the gate, 1 is all face, 0 is all voice; null without one."
    )


class ClipHead(Body):
    """Who answers, and how the clip is looked at."""

    model: ModelVersion
    variant: Variant
    rate_hz: Finite = Field(description="Working rate: most frames looked at, a second.")


class ClipTail(Body):
    """What is known at the end."""

    status: Literal["ok", "reset"] = Field(
        description="`reset` where the model was exchanged in the middle of the clip."
    )
    notes: list[str] = Field(description="What the client should know.")
    timings_ms: dict[str, Milliseconds] = Field(
        description="Time of each stage over the whole clip, in milliseconds; `total` is from the "
        "end of the upload."
    )


class ClipMoment(AffectFrame):
    """One moment of a clip."""

    frame: int | None = Field(
        None, description="Number of the frame in its file, from 0; null in sound alone."
    )


class AffectClipReply(ClipTail, ClipHead):
    """The whole answer as JSON."""

    clip: ClipInfoBody
    frames: list[ClipMoment] = Field(description="The frames, in the order of their times.")
    summary: Summary


class Line(Body):
    """What every line begins with."""

    type: str


class ClipLine(ClipInfoBody, ClipHead, Line):
    """The first line: the clip as it declares itself."""

    type: Literal["clip"] = "clip"


class FrameLine(ClipMoment, Line):
    """One line a frame."""

    type: Literal["frame"] = "frame"


class SummaryLine(ClipTail, Summary, Line):
    """The last line: the summary, and the clip as it was found."""

    type: Literal["summary"] = "summary"
    clip: ClipInfoBody


class ErrorLine(Line):
    """The last line where the clip could not be read or estimated to its end."""

    type: Literal["error"] = "error"
    status: Literal["error"] = "error"
    error: ErrorInfo
