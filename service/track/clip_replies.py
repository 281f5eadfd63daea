"""What POST /track answers: a clip's frames and their summary, as one body or line by line."""

from typing import Literal

from pydantic import Field

from service.clips.replies import ClipHead, ClipInfoBody, ClipMoment, ClipTail, Line
from service.schemas import Body, TrackedFace
from service.track.blinks import Blink
from service.track.replies import Status


class TrackMoment(ClipMoment):
    """The faces of one frame of a clip."""

    status: Status = Field(
        description="The oldest face's status; `searching` without a face; `reset` where the model "
        "was exchanged and the faces are numbered anew."
    )
    faces: list[TrackedFace] = Field(description="The faces, oldest first.")


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
