"""Replies of /track: one step of a session; a clip's frames and their summary."""

from typing import Literal

from pydantic import Field

from service.clips.replies import ClipHead, ClipInfoBody, ClipMoment, ClipTail, Line
from service.live.messages import Notes, StepCount, Stored
from service.schemas import Body, ModelVersion, Seconds, TimingsMs, TrackedFace

Status = Literal["tracking", "redetected", "lost", "searching", "reset"]


class FrameSize(Body):
    """The frame as it was looked at: upright."""

    width: int = Field(description="Width of the upright frame, in pixels.")
    height: int = Field(description="Height of the upright frame, in pixels.")


class TrackOutputs(Body):
    """The model's answer to one frame."""

    model: ModelVersion
    image: FrameSize
    variant: str = Field(description="The tracker that was used, such as `dcrt`.")
    steady: bool = Field(description="Whether looks at a face at rest are brought together.")
    smoothing: bool = Field(description="Whether the landmarks are smoothed over time.")
    status: Status = Field(
        description="The oldest face's status; `searching` without a face; `reset` where the "
        "session started anew with this frame."
    )
    searched: bool = Field(
        True,
        description="Whether the detector looked for faces in this frame; while nobody is there it "
        "does so at most 8 times a second.",
    )
    faces: list[TrackedFace] = Field(description="The faces, oldest first.")
    notes: Notes
    timings_ms: TimingsMs


class TrackReply(TrackOutputs):
    """The answer to one frame of a session."""

    type: Literal["frame"] = "frame"
    sequence: int | None = Field(
        None, description="Which frame of the socket this answers, from 0; null without a socket."
    )
    time_s: Seconds = Field(description="The frame's time in seconds, as sent or of its arrival.")
    step: StepCount
    stored: Stored


class TrackMoment(ClipMoment):
    """The faces of one frame of a clip."""

    status: Status = Field(
        description="The oldest face's status; `searching` without a face; `reset` where the model "
        "was exchanged and the faces are numbered anew."
    )
    faces: list[TrackedFace] = Field(description="The faces, oldest first.")


class Blink(Body):
    """The lids of one face, closed for a moment."""

    track_id: int = Field(description="Number of the face.")
    start_s: Seconds = Field(description="Time of the first frame with the lids closing.")
    end_s: Seconds = Field(description="Time of the first frame with the lids open again.")


class TrackSummary(Body):
    """The clip as a whole."""

    faces: int = Field(description="Faces that were followed, by their numbers.")
    frames_with_face: int = Field(description="Frames in which a face was seen.")
    frames_lost: int = Field(description="Frames in which the faces that are followed were lost.")
    frames_without: int = Field(description="Frames in which no face was followed.")
    blinks: list[Blink] = Field(
        description="Blinks, by when they end; empty where the model tells no facial actions."
    )


class TrackClipReply(ClipTail, ClipHead):
    """The whole answer as JSON."""

    clip: ClipInfoBody
    frames: list[TrackMoment] = Field(description="The frames, in the order of their times.")
    summary: TrackSummary


class TrackFrameLine(TrackMoment, Line):
    """One line a frame."""

    type: Literal["frame"] = "frame"


class TrackSummaryLine(ClipTail, TrackSummary, Line):
    """The last line: the summary, and the clip as it was found."""

    type: Literal["summary"] = "summary"
    clip: ClipInfoBody
