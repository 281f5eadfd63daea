"""Replies of /affect: a moment, a session's step, a clip's moments and their summary."""

from typing import Annotated, Literal

from pydantic import Field

from service.clips.replies import ClipHead, ClipInfoBody, ClipMoment, ClipTail, Line
from service.live.messages import Notes, StepCount, Stored
from service.schemas import (
    Body,
    Face,
    ImageInfo,
    Milliseconds,
    ModelVersion,
    Number,
    Seconds,
    Share,
    Signed,
    TimingsMs,
    TrackedFace,
)

QUADRANTS = ("positive-active", "negative-active", "negative-passive", "positive-passive")
Quadrant = Literal["positive-active", "negative-active", "negative-passive", "positive-passive"]
# Where an estimate lies: near the middle of the circumplex, signs mean nothing.
REGIONS = (*QUADRANTS, "neutral")
Region = Quadrant | Literal["neutral"]
EXPRESSIONS = (
    *("neutral", "happiness", "surprise", "sadness"),
    *("anger", "disgust", "fear", "contempt"),
)
Expression = Literal[
    "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt"
]
StepStatus = Annotated[
    Literal["ok", "reset"],
    Field(description="`reset` where the session started anew with this step."),
]
Variant = Annotated[str, Field(description="The network that was used, such as `face-voice`.")]


class Estimate(Body):
    """The estimate of a face, or of a moment with its voice; no measure of what anybody feels."""

    valence: Signed | None = Field(
        description="How pleasant, in [-1, 1]; null where it cannot be estimated: of a voice alone "
        "it is not."
    )
    arousal: Signed | None = Field(
        description="How active, in [-1, 1]; null where neither face nor voice could be used."
    )
    quadrant: Region | None = Field(
        description="The quadrant of valence and arousal; `neutral` near the middle. They weigh "
        "all `expressions`, and a voice: the likeliest word alone may lie in another quadrant."
    )
    expressions: dict[Expression, Share] | None = Field(
        default=None,
        description="How people would name the face, as shares of their votes; null without a face "
        "and for variants that do not tell.",
    )
    confidence: Share | None = Field(
        default=None,
        description="How far the estimate can be trusted, in [0, 1]: by the quality of the face "
        "and how far two looks at it agree; null for variants that do not tell.",
    )


class FaceEstimate(Estimate):
    """A face and its estimate."""

    face: TrackedFace


class VoiceEstimate(Body):
    """A voice by itself: who of several people speaks is not known."""

    arousal: Signed = Field(description="How active the voice is, in [-1, 1].")


class AffectFrame(Estimate):
    """Valence and arousal of one moment, and what they were seen and heard from."""

    time_s: Seconds = Field(description="Time of the moment, in seconds.")
    quadrants: dict[Quadrant, Share] | None = Field(
        description="Probability of each quadrant as D guesses first, in [0, 1]."
    )
    attention: list[Share] = Field(
        description="Weight of each past state that is held, oldest first; their sum is 1."
    )
    attention_ages_s: list[Number] = Field(description="Age of each of these states, in seconds.")
    gate: Share | None = Field(
        description="Mean of the gate between the modalities: 1 is all face, 0 is all voice; null "
        "for variants without one."
    )
    used: list[Literal["face", "voice"]] = Field(description="The modalities that could be used.")
    face: TrackedFace | None = Field(
        description="The face that the estimate is of, the first; null while none is followed."
    )
    others: list[FaceEstimate] = Field(
        default=[],
        description="Further faces, each by itself, where more than one was asked for.",
    )
    voice: VoiceEstimate | None = Field(
        default=None,
        description="The voice, where there are several faces: none of them is given it.",
    )


class AffectOutputs(Body):
    """The model's answer to a run of moments."""

    model: ModelVersion
    variant: Variant
    status: StepStatus
    notes: Notes
    timings_ms: TimingsMs
    frames: list[AffectFrame]


class Stepped(Body):
    """The fields of every step of a session beside the moment itself."""

    type: str
    status: StepStatus
    step: StepCount
    stored: Stored
    milliseconds: Milliseconds = Field(description="Time from the message to its answer, in ms.")
    model: ModelVersion
    variant: Variant
    notes: Notes
    timings_ms: TimingsMs


class AffectReply(AffectFrame, Stepped):
    """The answer to one frame of a session."""

    type: Literal["frame"] = "frame"
    sequence: int | None = Field(
        None, description="Which frame of the socket this answers, from 0; null without a socket."
    )


class HeardReply(Stepped):
    """The answer to sound that came alone, without a moment to estimate."""

    type: Literal["sound"] = "sound"


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


class PhotographFace(Estimate):
    """A face of a photograph, and what it looks like."""

    face: Face


class PhotographEstimates(Body):
    """The model's answer about the faces of a photograph."""

    model: ModelVersion
    variant: Variant
    notes: list[str]
    timings_ms: TimingsMs
    faces: list[Estimate]


class PhotographReply(Body):
    """The faces of a photograph, best first, and what each looks like."""

    model: ModelVersion
    variant: Variant
    image: ImageInfo
    notes: list[str] = Field(description="What the client should know, such as skipped frames.")
    faces: list[PhotographFace] = Field(description="Empty where there is no face.")
    timings_ms: TimingsMs
