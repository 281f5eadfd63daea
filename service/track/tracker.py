"""One frame and a session's state into the model's answer, whoever asks: a socket or a POST."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from service.inference import Inference
from service.live.model import Drop, Model, SmallestFace, VariantName, parse_into
from service.live.subject import Step
from service.settings import Settings
from service.track.replies import TrackOutputs

MODEL = "track"


class TrackOptions(BaseModel):
    """How a session's frames are treated; names that are not listed here are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_faces: int = Field(default=1, ge=1, le=8, description="Most faces to follow at once.")
    min_face: SmallestFace = 40
    steady: bool = Field(
        default=True,
        description="Whether looks at a face that holds still are brought together, which calms "
        "its landmarks without delaying motion; false gives every frame's own.",
    )
    smoothing: bool = Field(
        default=False,
        description="Whether to calm the landmarks by a One-Euro filter; it needs frame times.",
    )
    variant: VariantName | None = Field(
        default=None,
        description="Another tracker of the model, such as `crt`; its own one if not given.",
    )


class SocketOptions(TrackOptions):
    """The options of a socket, in its address or in a text message before the first frame."""

    drop: Drop = True


def parse_options(values: Mapping[str, Any]) -> SocketOptions:
    """Check a socket's options; raises ServiceError naming every one that does not fit."""
    return parse_into(SocketOptions, values)


class Tracker(Model):
    """Asks the model `track`, within the limits of the settings."""

    def __init__(self, inference: Inference, settings: Settings) -> None:
        super().__init__(MODEL, inference, settings)

    async def step(
        self, frame: bytes, time_s: float, options: TrackOptions, state: bytes | None
    ) -> Step[TrackOutputs]:
        """Look at one encoded frame; raises ServiceError when it or its model is no good."""
        await self.check_frame(frame)
        inputs = {"image": frame, "time_s": time_s}
        answer = await self.ask(inputs, self._options(options), state)
        return Step(TrackOutputs.model_validate(answer.outputs), answer.state)

    def _options(self, options: TrackOptions) -> dict[str, Any]:
        asked = {
            "max_faces": options.max_faces,
            "min_face_px": options.min_face,
            "steady": options.steady,
            "smoothing": options.smoothing,
            "max_pixels": self.settings.max_frame_pixels,
        }
        return asked if options.variant is None else {**asked, "variant": options.variant}
