"""A run of moments with its sound and a state into the model's answer, live or from a clip."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from service.affect.replies import AffectFrame, AffectOutputs
from service.affect.sounds import Sound
from service.errors import Problem, ServiceError
from service.live.model import Cost, Model, Step, VariantName
from service.options import (
    AFFECT_MAX_FACES,
    AFFECT_SMOOTHING_S,
    AFFECT_VARIANT,
    DELAY_S,
    DROP,
    MIN_FACE_PX,
    MIN_QUALITY,
)
from service.services import Services
from service.telemetry import Metrics

MODEL = "affect"
LOST = "lost"
VOICE = "voice"

Delay = Annotated[float, DELAY_S.bounds, Field(allow_inf_nan=False)]
Frame = bytes | Mapping[str, Any] | None


class AffectOptions(BaseModel):
    """The options of an estimate; names that are not listed here are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    variant: Annotated[VariantName | None, AFFECT_VARIANT.bounds] = None
    min_face_px: Annotated[int, MIN_FACE_PX.bounds] = MIN_FACE_PX.default
    min_quality: Annotated[float, MIN_QUALITY.bounds] = MIN_QUALITY.default
    max_faces: Annotated[int, AFFECT_MAX_FACES.bounds] = AFFECT_MAX_FACES.default
    smoothing_s: Annotated[float, AFFECT_SMOOTHING_S.bounds, Field(allow_inf_nan=False)] = (
        AFFECT_SMOOTHING_S.default
    )


class AffectSocketOptions(AffectOptions):
    """The options of a socket, in its address or in a text message before the first frame."""

    delay_s: Delay = Field(
        default=0.0,
        description="How much later a frame is estimated, in seconds of the stream, with the sound "
        "that was heard until then. Replies wait for it: they are not to be waited for.",
    )
    drop: Annotated[bool, DROP.bounds] = DROP.default


class AffectModel(Model):
    """Asks the model `affect`, within the limits of the settings."""

    def __init__(self, services: Services) -> None:
        super().__init__(MODEL, services)

    async def step(
        self,
        frames: Sequence[Frame],
        times_s: Sequence[float],
        sound: Sound | None,
        options: AffectOptions,
        state: bytes | None,
        pixels: Sequence[int] = (),
    ) -> Step[AffectOutputs]:
        """Estimate up to 8 moments, one an entry of `frames`; raises ServiceError.

        A frame is an encoded picture, an array as the wire has it, or None for no picture at that
        time. The sound, if any, is heard before the first moment is estimated. `pixels` are those
        of the pictures.
        """
        inputs = {
            "frames": list(frames),
            "times_s": list(times_s),
            "sound": None if sound is None else sound.on_the_wire(),
        }
        answer = await self.ask(
            inputs, self.options(options), state, Cost.of_pictures(pixels, options.min_face_px)
        )
        outputs = AffectOutputs.model_validate(answer.outputs)
        if len(outputs.frames) != len(frames):
            raise ServiceError(Problem.INTERNAL, "the model did not answer every frame")
        return Step(outputs, answer.state)

    def options(self, options: AffectOptions) -> dict[str, Any]:
        """Return the options of a question."""
        asked: dict[str, Any] = {
            "min_face_px": options.min_face_px,
            "min_quality": options.min_quality,
            "max_faces": options.max_faces,
            "smoothing_s": options.smoothing_s,
            "max_pixels": self.settings.max_frame_pixels,
        }
        return asked if options.variant is None else {**asked, "variant": options.variant}


def measure_frames(frames: Sequence[AffectFrame], metrics: Metrics) -> None:
    """Record the gates, the faces that are out of sight, and where the voice was used."""
    for frame in frames:
        if frame.gate is not None:
            metrics.gate.labels(MODEL).observe(frame.gate)
        metrics.voice.labels(MODEL).inc(VOICE in frame.used)
        metrics.faces_lost.labels(MODEL).inc(frame.face is not None and frame.face.status == LOST)
