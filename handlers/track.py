"""The `track` model: rows with one encoded frame and its session's state <-> faces, next state.

Of a row, `inputs` is `{"image", "time_s": float?}`, an encoded picture or an array uint8
`(H, W, 3)` RGB; `options`, all optional, are those of TrackRowOptions; `state` is what the
session's last answer gave, absent at its start. A state of other weights or another schema is not
used: the session starts anew and its status is `reset`.
Errors: `not-an-image`, `invalid-image`, `truncated-image`, `too-many-pixels`, `invalid-request`,
`internal`; none gives a state, so that the caller goes on from the one it has.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers.attributes import FaceAttributes, SeenFace, load_attributes
from handlers.base import Answer, Handler
from handlers.checkpoint import Checkpoint, describe_model, name_model
from handlers.predictors.detection.detector import MIN_FACE_PX
from handlers.predictors.tracking.options import TrackingOptions, Variant
from handlers.predictors.tracking.predictor import TrackingPredictor
from handlers.predictors.tracking.results import FrameResult, TrackedFace
from handlers.predictors.tracking.state import SCHEMA, OneEuro, SessionState
from handlers.processing.image import DecodedImage
from handlers.processing.landmarks import LEAST_QUALITY
from handlers.row_checks import read_picture, refuse
from handlers.store import load_tracker, read_variants
from handlers.wire import UNUSABLE, Request, dump_state, load_state, resume

Image = NDArray[np.uint8]

NAME, TRACKER = "track", "dcrt"
RESET = "reset"


@dataclass(frozen=True)
class TrackParts:
    """The parts that answers are made with; `variants` are those that the networks allow."""

    predictor: TrackingPredictor
    checkpoint: Checkpoint
    variants: dict[str, Variant]
    attributes: FaceAttributes = field(default_factory=FaceAttributes)


@dataclass(frozen=True)
class TrackRowOptions:
    """Options of one row of `track`.

    `variant` is one of the checkpoint's; `steady` calms the landmarks of a face at rest,
    `smoothing` all and needs `time_s`. `min_face_px` is the side of the smallest face searched
    for, `min_quality` the quality from which on it is one, `max_pixels` bounds width x height.
    """

    max_faces: int = 1
    min_face_px: int = MIN_FACE_PX
    min_quality: float = LEAST_QUALITY
    steady: bool = True
    smoothing: bool = False
    variant: str = TRACKER
    max_pixels: int = 8_300_000

    @classmethod
    def parse(cls, options: dict[str, Any], variants: Sequence[str]) -> "TrackRowOptions":
        """Take what came with a row; raises InputError for a variant that is not served."""
        given = cls(**options)
        if given.variant not in variants:
            refuse(f"variant is {given.variant!r:.40}; known are {', '.join(variants)}")
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
        self._model = name_model(NAME, self.parts.checkpoint)

    def describe(self) -> dict[str, Any]:
        """Tell name, version and weights hash of what answers, with its licence and figures."""
        variants = sorted(self.parts.variants)
        return describe_model(NAME, self.parts.checkpoint, variants=variants)

    def decode(self, request: Request) -> TrackRow:
        """Check options, read the state and decode the frame; raises InputError."""
        options = TrackRowOptions.parse(request.options, list(self.parts.variants))
        time_s = _read_time(request.inputs.get("time_s"), options.smoothing)
        image, decode_ms = read_picture(request.inputs.get("image"), options.max_pixels)
        state, reset = resume(self._read_state, request.state)
        return TrackRow(image, options, time_s, state, reset, decode_ms)

    def compute(self, items: Sequence[TrackRow]) -> list[Answer]:
        """Take one step of every row's session, in shared batches."""
        results = self.parts.predictor.step(
            [row.image.pixels for row in items],
            [row.state for row in items],
            [self._options(row.options) for row in items],
            [row.time_s for row in items],
        )
        pairs = [
            (row.image.pixels, face)
            for row, (r, _) in zip(items, results, strict=True)
            for face in r.faces
        ]
        # The attributes of all rows' faces in one batch; each answer takes its own back, in order.
        records = iter(describe_faces(self.parts.attributes, pairs))
        return [
            (self._outputs(row, result, [next(records) for _ in result.faces]), self._dump(state))
            for row, (result, state) in zip(items, results, strict=True)
        ]

    def restart(self, item: TrackRow) -> TrackRow | None:
        """Return the row as the first of a session."""
        return None if item.state is None else replace(item, state=None, reset=UNUSABLE)

    def _options(self, options: TrackRowOptions) -> TrackingOptions:
        return TrackingOptions(
            self.parts.variants[options.variant],
            options.max_faces,
            options.min_face_px,
            min_quality=options.min_quality,
            steady=options.steady,
            smoothing=OneEuro() if options.smoothing else None,
        )

    def _read_state(self, blob: bytes) -> SessionState:
        checkpoint = self.parts.checkpoint
        written = load_state(blob, checkpoint.name, checkpoint.sha256, SCHEMA)
        return SessionState.from_tensors(*written)

    def _dump(self, state: SessionState) -> bytes:
        checkpoint = self.parts.checkpoint
        tensors = state.to_tensors()
        return dump_state(tensors, checkpoint.name, checkpoint.sha256, SCHEMA, state.step)

    def _outputs(
        self, row: TrackRow, result: FrameResult, faces: list[dict[str, Any]]
    ) -> dict[str, Any]:
        reset = [] if row.reset is None else [row.reset]
        return {
            "model": self._model,
            "image": {"width": row.image.pixels.shape[1], "height": row.image.pixels.shape[0]},
            "variant": row.options.variant,
            "steady": row.options.steady,
            "smoothing": row.options.smoothing,
            "status": RESET if reset else result.status.value,
            "searched": result.searched,
            "step": result.step,
            "faces": faces,
            "notes": [*reset, *row.image.notes],
            "timings_ms": {"decode": row.decode_ms, **result.timings_ms},
        }


def load_parts(model_store: Path, device: str) -> TrackParts:
    """Load the parts that are served; raises CheckpointError naming what the store lacks."""
    predictor, checkpoint = load_tracker(model_store, TRACKER, device)
    variants = read_variants(checkpoint.config)
    return TrackParts(predictor, checkpoint, variants, load_attributes(model_store))


def describe_faces(
    attributes: FaceAttributes, faces: Sequence[tuple[Image, TrackedFace]]
) -> list[dict[str, Any]]:
    """Return the records of faces, each with the frame that it was followed in."""
    seen = [
        None if face.landmarks is None else SeenFace(image, face.landmarks, face.alignment)
        for image, face in faces
    ]
    records = zip(faces, attributes.compute(seen), strict=True)
    return [{**_face(face), **values} for (_, face), values in records]


def _face(face: TrackedFace) -> dict[str, Any]:
    return {
        "track_id": face.track_id,
        "status": face.status.value,
        "box": face.box.tolist(),
        "score": None,
        "landmarks": None if face.landmarks is None else face.landmarks.tolist(),
        "face_probability": face.face_probability,
        "lost_probability": face.lost_probability,
    }


def _read_time(value: object, needed: bool) -> float | None:
    if value is None and not needed:
        return None
    # True is an int: it would pass as the first second.
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        refuse(f"time_s is {value!r:.40}; a number of seconds is needed")
    return float(value)
