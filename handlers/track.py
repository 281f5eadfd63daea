"""The `track` model: rows with one encoded frame and its session's state <-> faces, next state.

Of a row, `inputs` is `{"image": bytes, "time_s": float?}`; `options`, all optional, are those of
TrackRowOptions; `state` is what the session's last answer gave, absent at its start. A state of
other weights or another schema is not used: the session starts anew and its status is `reset`.
Errors: `not-an-image`, `invalid-image`, `truncated-image`, `too-many-pixels`, `invalid-request`,
`internal`; none gives a state, so that the caller goes on from the one it has.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from handlers.base import INVALID_REQUEST, Answer, Handler, InputError
from handlers.checkpoint import Checkpoint, load_checkpoint
from handlers.predictors.alignment import AlignmentPredictor
from handlers.predictors.smoothing import OneEuro
from handlers.predictors.tracking import TrackingPredictor
from handlers.predictors.tracking_options import TrackingOptions, Variant
from handlers.predictors.tracking_results import FrameResult, TrackedFace
from handlers.predictors.tracking_state import SCHEMA, SessionState
from handlers.processing.image import DecodedImage, ImageError, decode_image
from handlers.state import StateError, dump_state, load_state
from handlers.store import load_aligner, load_detector
from handlers.tracking_setup import build_networks, read_settings, read_variants
from handlers.wire import Request

Image = NDArray[np.uint8]

NAME, TRACKER = "track", "dcrt"
TOLD = ("licence", "figures")
MOST_FACES = 8
SMALLEST_FACE_PX = 12
RESET = "reset"


@dataclass(frozen=True)
class TrackParts:
    """What an answer is made with; `variants` are those that the store's networks allow."""

    predictor: TrackingPredictor
    checkpoint: Checkpoint
    variants: dict[str, Variant]


@dataclass(frozen=True)
class TrackRowOptions:
    """How one row is to be treated.

    `variant` is one of the checkpoint's; `steady` calms the landmarks of a face at rest,
    `smoothing` all and needs `time_s`. `min_face_px` is the side of the smallest face searched
    for, `max_pixels` bounds width x height of a frame.
    """

    max_faces: int = 1
    min_face_px: int = 40
    steady: bool = True
    smoothing: bool = False
    variant: str = TRACKER
    max_pixels: int = 8_300_000

    @classmethod
    def parse(cls, options: dict[str, Any], variants: Sequence[str]) -> "TrackRowOptions":
        """Check what came with a row; raises InputError."""
        if unknown := sorted(options.keys() - {field.name for field in fields(cls)}):
            _refuse(f"options {', '.join(unknown)} are unknown")
        given = cls(**options)
        _check_whole("max_faces", given.max_faces, 1, MOST_FACES)
        _check_whole("min_face_px", given.min_face_px, SMALLEST_FACE_PX, 2**31)
        _check_whole("max_pixels", given.max_pixels, 1, 2**40)
        for name in ("steady", "smoothing"):
            if type(value := getattr(given, name)) is not bool:
                _refuse(f"{name} is {value!r:.40}; true or false is needed")
        if given.variant not in variants:
            _refuse(f"variant is {given.variant!r:.40}; known are {', '.join(variants)}")
        return given


@dataclass(frozen=True)
class TrackRow:
    """One decoded row; `state` None starts a session, `reset` says why it is not the one given."""

    image: DecodedImage
    options: TrackRowOptions
    time_s: float | None
    state: SessionState | None
    reset: str | None
    decode_ms: float


class TrackHandler(Handler[TrackRow]):
    """Serves tracking from the model store."""

    def __init__(
        self,
        model_store: Path,
        device: str = "cpu",
        load: Callable[[Path, str], TrackParts] | None = None,
    ) -> None:
        """Load the predictor on `device`; raises CheckpointError for a store that lacks it."""
        self.parts = (load or load_parts)(model_store, device)

    def describe(self) -> dict[str, Any]:
        """Name, version and weights hash of what answers, with its licence and figures."""
        checkpoint = self.parts.checkpoint
        told: dict[str, Any] = {
            key: checkpoint.config[key] for key in TOLD if key in checkpoint.config
        }
        variants = sorted(self.parts.variants)
        return {**self._model(), "weights": checkpoint.name, "variants": variants, **told}

    def decode(self, request: Request) -> TrackRow:
        """Check options, read the state and decode the frame; raises InputError."""
        options = TrackRowOptions.parse(request.options, list(self.parts.variants))
        time_s = _read_time(request.inputs.get("time_s"), options.smoothing)
        data = request.inputs.get("image")
        if not isinstance(data, bytes):
            _refuse(f"inputs.image is a {type(data).__name__}; the bytes of a picture are needed")
        state, reset = self._read_state(request.state)
        start = time.perf_counter()
        try:
            image = decode_image(data, options.max_pixels)
        except ImageError as error:
            raise InputError(error.type, error.detail) from error
        decode_ms = (time.perf_counter() - start) * 1000
        return TrackRow(image, options, time_s, state, reset, decode_ms)

    def compute(self, items: Sequence[TrackRow]) -> list[Answer]:
        """One step of every row's session, in shared batches."""
        results = self.parts.predictor.step(
            [row.image.pixels for row in items],
            [row.state for row in items],
            [self._options(row.options) for row in items],
            [row.time_s for row in items],
        )
        return [
            (self._outputs(row, result), self._dump(state))
            for row, (result, state) in zip(items, results, strict=True)
        ]

    def _options(self, options: TrackRowOptions) -> TrackingOptions:
        return TrackingOptions(
            self.parts.variants[options.variant],
            options.max_faces,
            options.min_face_px,
            steady=options.steady,
            smoothing=OneEuro() if options.smoothing else None,
        )

    def _read_state(self, blob: bytes | None) -> tuple[SessionState | None, str | None]:
        """The state, or None and why it cannot be gone on from."""
        if blob is None:
            return None, None
        checkpoint = self.parts.checkpoint
        try:
            return SessionState.from_tensors(
                *load_state(blob, checkpoint.name, checkpoint.sha256, SCHEMA)
            ), None
        except StateError as error:
            return None, f"the session starts anew: {error}"
        except (KeyError, ValueError) as error:
            return None, f"the session starts anew: its state is damaged ({error!r:.80})"

    def _dump(self, state: SessionState) -> bytes:
        checkpoint = self.parts.checkpoint
        tensors = state.to_tensors()
        return dump_state(tensors, checkpoint.name, checkpoint.sha256, SCHEMA, state.step)

    def _outputs(self, row: TrackRow, result: FrameResult) -> dict[str, Any]:
        reset = [] if row.reset is None else [row.reset]
        return {
            "model": self._model(),
            "image": {"width": row.image.pixels.shape[1], "height": row.image.pixels.shape[0]},
            "variant": row.options.variant,
            "steady": row.options.steady,
            "smoothing": row.options.smoothing,
            "status": RESET if reset else result.status.value,
            "step": result.step,
            "faces": [_face(face) for face in result.faces],
            "notes": [*reset, *row.image.notes],
            "timings_ms": {"decode": row.decode_ms, **result.timings_ms},
        }

    def _model(self) -> dict[str, str]:
        checkpoint = self.parts.checkpoint
        return {"name": NAME, "version": checkpoint.version, "sha256": checkpoint.sha256}


def load_parts(model_store: Path, device: str) -> TrackParts:
    """The parts that are served; raises CheckpointError naming what the store lacks.

    Landmarks are not averaged with those of the mirror image, which would take twice the time.
    """
    checkpoint = load_checkpoint(model_store / TRACKER, device)
    aligner = load_aligner(model_store, checkpoint.config["alignment"], device).predictor
    predictor = TrackingPredictor(
        build_networks(checkpoint.config, checkpoint.tensors, device),
        load_detector(model_store, device),
        AlignmentPredictor(aligner.network, replace(aligner.options, flip=False), device),
        read_settings(checkpoint.config),
    )
    return TrackParts(predictor, checkpoint, read_variants(checkpoint.config))


def _face(face: TrackedFace) -> dict[str, Any]:
    return {
        "track_id": face.track_id,
        "status": face.status.value,
        "box": face.box.tolist(),
        "landmarks": None if face.landmarks is None else face.landmarks.tolist(),
        "face_probability": face.face_probability,
        "lost_probability": face.lost_probability,
        "degradation": face.degradation,
    }


def _read_time(value: object, needed: bool) -> float | None:
    if value is None and not needed:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        _refuse(f"time_s is {value!r:.40}; a number of seconds is needed")
    return float(value)


def _check_whole(name: str, value: object, least: int, most: int) -> None:
    if type(value) is not int or not least <= value <= most:
        _refuse(f"{name} is {value!r:.40}; a whole number from {least} to {most} is needed")


def _refuse(detail: str) -> NoReturn:
    raise InputError(INVALID_REQUEST, detail)
