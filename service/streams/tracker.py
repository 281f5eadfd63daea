"""One frame and a session's state into the model's answer, whoever asks: a socket or a POST."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from service.errors import Problem, ServiceError
from service.inference import Inference, Question
from service.media.images import check_pixels, sniff
from service.settings import Settings
from service.streams.replies import TrackOutputs

MODEL = "track"


class TrackOptions(BaseModel):
    """How a session's frames are treated; names that are not listed here are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_faces: int = Field(default=1, ge=1, le=8, description="Most faces to follow at once.")
    min_face: int = Field(
        default=40, ge=12, le=4096, description="Smallest face that is looked for, in pixels."
    )
    smoothing: bool = Field(
        default=False,
        description="Whether to calm the landmarks by a One-Euro filter; it needs frame times.",
    )
    variant: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9-]{1,40}$",
        description="Another tracker of the model, such as `crt`; its own one if not given.",
    )


class SocketOptions(TrackOptions):
    """The options of a socket, in its address or in a text message before the first frame."""

    drop: bool = Field(
        default=True,
        description="Whether a newer frame replaces one that still waits; false for files.",
    )


def parse_options(values: Mapping[str, Any]) -> SocketOptions:
    """Check a socket's options; raises ServiceError naming every one that does not fit."""
    try:
        return SocketOptions.model_validate(dict(values))
    except ValidationError as error:
        found = "; ".join(
            f"{'.'.join(map(str, item['loc']))[:60]}: {item['msg']}" for item in error.errors()
        )
        raise ServiceError(Problem.INVALID_REQUEST, found) from error


@dataclass(frozen=True)
class Step:
    """What one frame gave: the model's words, and the state to go on from."""

    outputs: TrackOutputs
    state: bytes | None


class Tracker:
    """Asks the model `track`, within the limits of the settings."""

    def __init__(self, inference: Inference, settings: Settings) -> None:
        self._inference = inference
        self._settings = settings

    async def check_loaded(self) -> None:
        """Raise ServiceError where the model is not served, or not yet."""
        if MODEL not in (await self._inference.readiness()).models:
            raise ServiceError(
                Problem.UNAVAILABLE,
                f"the model {MODEL} is not loaded",
                headers={"Retry-After": "10"},
            )

    def check_size(self, size: int) -> None:
        """Raise ServiceError for a frame of too many bytes."""
        if size > (most := self._settings.max_frame_bytes):
            raise ServiceError(
                Problem.BODY_TOO_LARGE, f"a frame may have {most} bytes; this one has {size}"
            )

    async def step(
        self, frame: bytes, time_s: float, options: TrackOptions, state: bytes | None
    ) -> Step:
        """Look at one encoded frame; raises ServiceError when it or its model is no good."""
        self.check_size(len(frame))
        header = await asyncio.to_thread(sniff, frame)
        check_pixels(header, self._settings.max_frame_pixels)
        question = Question({"image": frame, "time_s": time_s}, self._options(options), state)
        timeout_s = self._settings.inference_timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                answer = await self._inference.ask(MODEL, question)
        except TimeoutError:
            raise ServiceError(
                Problem.TIMEOUT, f"no answer within {timeout_s:g} s", headers={"Retry-After": "1"}
            ) from None
        return Step(TrackOutputs.model_validate(answer.outputs), answer.state)

    def _options(self, options: TrackOptions) -> dict[str, Any]:
        asked = {
            "max_faces": options.max_faces,
            "min_face_px": options.min_face,
            "smoothing": options.smoothing,
            "max_pixels": self._settings.max_frame_pixels,
        }
        return asked if options.variant is None else {**asked, "variant": options.variant}
