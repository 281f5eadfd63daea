"""What is answered of every clip: the clip itself, who looked at it, what there is to know."""

from typing import Literal

from pydantic import Field

from service.live.messages import ErrorInfo
from service.media.clips.contents import ClipInfo, ClipTotals
from service.schemas import Body, Finite, Milliseconds, ModelVersion, Number, Seconds


class ClipSoundInfo(Body):
    """The sound track; `decoded_s` is known when all of it has been read."""

    sample_rate_hz: int = Field(description="Sample rate of the track, in hertz.")
    channels: int = Field(
        description="Channels of the track; they are mixed into one, at the level of the voice."
    )
    decoded_s: Number | None = Field(description="Seconds of sound that were decoded.")
    expected_s: Number | None = Field(
        description="Seconds of sound that the clip declares; null where it does not."
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
        description="Frames that the file holds, decoded or not; until it is read, those that it "
        "declares, if any."
    )
    used_frames: int | None = Field(description="Frames that were looked at.")
    sound: ClipSoundInfo | None
    complete: bool | None = Field(
        description="Whether all that the file holds or declares was there and could be decoded; "
        "what was not is in `notes`."
    )


class ClipHead(Body):
    """Who answers, and how the clip is looked at."""

    model: ModelVersion
    variant: str = Field(description="The network that was used, such as `avi-gas` or `dcrt`.")
    rate_hz: Finite | None = Field(
        description="Most frames that are looked at, a second; null where all are."
    )


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


class ClipMoment(Body):
    """Where a frame is in its clip."""

    frame: int | None = Field(
        description="Number of the frame in its file, from 1; null in sound alone."
    )
    time_s: Seconds = Field(description="Time of the frame in its clip, in seconds.")


class Line(Body):
    """What every line begins with."""

    type: str


class ClipLine(ClipInfoBody, ClipHead, Line):
    """The first line: the clip as it declares itself."""

    type: Literal["clip"] = "clip"


class ErrorLine(Line):
    """The last line where the clip could not be read or looked at to its end."""

    type: Literal["error"] = "error"
    status: Literal["error"] = "error"
    error: ErrorInfo


def describe_clip(info: ClipInfo, totals: ClipTotals | None) -> ClipInfoBody:
    """Return what is told of a clip; `totals` None while it is being read."""
    measures = totals and totals.sound
    sound = info.sound and ClipSoundInfo(
        sample_rate_hz=info.sound.sample_rate_hz,
        channels=info.sound.channels,
        decoded_s=None if totals is None else totals.decoded_sound_s,
        expected_s=info.sound.expected_s,
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
