"""The public body of one step of `track`."""

from typing import Annotated, Literal

from pydantic import Field

from service.live.replies import FaceBox, FaceProbability, FaceStatus, Notes, StepCount, Stored
from service.live.subject import Place
from service.schemas import POINTS, Body, Finite, ModelVersion, Point, Share, TimingsMs

Status = Literal["tracking", "redetected", "lost", "searching", "reset"]


class FrameSize(Body):
    """The frame as it was looked at: upright."""

    width: int = Field(description="Width of the upright frame, in pixels.")
    height: int = Field(description="Height of the upright frame, in pixels.")


class TrackedFace(Body):
    """One face of a frame; coordinates are pixels of the upright frame."""

    track_id: int = Field(description="Number of the face within its session; it stays with it.")
    status: FaceStatus
    box: FaceBox
    landmarks: Annotated[list[Point], Field(min_length=POINTS, max_length=POINTS)] | None = Field(
        description="The 68 landmarks of the iBUG scheme, x and y, in pixels; null while lost."
    )
    face_probability: FaceProbability
    lost_probability: Share | None = Field(
        None, description="On `redetected`, the probability that lost the face."
    )
    degradation: str | None = Field(
        None, description="What spoils the face's picture, as the denoiser sees it."
    )


class TrackOutputs(Body):
    """What the model says of one frame."""

    model: ModelVersion
    image: FrameSize
    variant: str = Field(description="The tracker that was used, such as `dcrt`.")
    steady: bool = Field(description="Whether looks at a face at rest are brought together.")
    smoothing: bool = Field(description="Whether the landmarks are smoothed over time.")
    status: Status = Field(
        description="The oldest face's status; `searching` without a face; `reset` where the "
        "session started anew with this frame."
    )
    faces: list[TrackedFace] = Field(description="The faces, oldest first.")
    notes: Notes
    timings_ms: TimingsMs


class TrackReply(TrackOutputs):
    """The answer to one frame of a session."""

    sequence: int | None = Field(
        None, description="Which frame of the socket this answers, from 0; null without a socket."
    )
    time_s: Finite = Field(description="The frame's time in seconds, as sent or of its arrival.")
    step: StepCount
    stored: Stored


def build_reply(
    outputs: TrackOutputs, sequence: int | None, time_s: float, place: Place
) -> TrackReply:
    """Return the reply that says `outputs`, which have been checked, and where they belong."""
    return TrackReply.model_construct(
        **dict(outputs), sequence=sequence, time_s=time_s, step=place.step, stored=place.stored
    )
