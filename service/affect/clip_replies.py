"""What POST /affect answers: a clip's moments and their summary, as one body or line by line."""

from typing import Literal

from pydantic import Field

from service.affect.replies import AffectFrame, Region, Signed
from service.clips.replies import ClipHead, ClipInfoBody, ClipMoment, ClipTail, Line
from service.schemas import Body, Number, Share


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
    seconds: dict[Region, Number] = Field(
        description="Time in each quadrant, and near the middle (`neutral`), in seconds."
    )
    share_with_face: Share = Field(description="Share of frames whose face was used.")
    share_with_voice: Share = Field(description="Share of frames whose voice was used.")
    gate_mean: Share | None = Field(
        description="Mean of the gate, 1 is all face, 0 is all voice; null without one."
    )


class AffectMoment(AffectFrame, ClipMoment):
    """One moment of a clip."""


class AffectClipReply(ClipTail, ClipHead):
    """The whole answer as JSON."""

    clip: ClipInfoBody
    frames: list[AffectMoment] = Field(description="The frames, in the order of their times.")
    summary: Summary


class AffectFrameLine(AffectMoment, Line):
    """One line a frame."""

    type: Literal["frame"] = "frame"


class AffectSummaryLine(ClipTail, Summary, Line):
    """The last line: the summary, and the clip as it was found."""

    type: Literal["summary"] = "summary"
    clip: ClipInfoBody
