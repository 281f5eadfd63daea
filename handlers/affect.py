"""The `affect` model: runs of frames with sound and a session's state <-> affect, next state.

Of a row, `inputs` is `{"frames", "times_s", "sound"}`: up to 8 frames, each an encoded picture, an
array uint8 `(H, W, 3)` RGB or nil; as many increasing times in seconds, later than the state's
last; `{"start", "pcm"}`, int16 mono at 22 050 Hz whose first sample's index is counted from time
zero, or nil. A window of 2.97 s around each frame's time is used, as far as sound has come, where
there is speech in it.
`options`, all optional, are those of AffectRowOptions; `state` is what the session's last answer
gave, absent at its start. A state of other weights, another variant or another schema is not used:
the session starts anew and its status is `reset`. Errors: those of `track`, `invalid-sound`,
`invalid-time`; none gives a state, so that the caller goes on from the one it has.

A photograph comes with `boxes` in place of `times_s` and `sound`: those of its faces' landmarks,
`(x1, y1, x2, y2)` in pixels, and with `landmarks` and `actions` where they are known. Its answer
has `faces`, each by itself, and no state.
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from handlers.attributes import FaceAttributes
from handlers.base import Answer, Handler
from handlers.checkpoint import Checkpoint, CheckpointError, describe_model, name_model
from handlers.networks.variants import EXPRESSIONS, QUADRANTS, VARIANTS
from handlers.predictors.affect.estimator import SCHEMA, AffectState
from handlers.predictors.affect.predictor import AffectPredictor
from handlers.predictors.affect.run import AffectResult, AffectRow, Floats, FrameAffect, Record
from handlers.processing.audio_descriptors import MissingExtra
from handlers.row_checks import (
    AffectRowOptions,
    Frames,
    check_boxes,
    read_actions,
    read_frames,
    read_landmarks,
    read_sound,
    read_times,
    refuse,
)
from handlers.store import (
    FACE_VOICE,
    JOINED,
    has_estimator,
    load_estimator,
    load_speech_detector,
)
from handlers.track import describe_faces
from handlers.track import load_parts as load_tracker
from handlers.wire import UNUSABLE, Request, dump_state, load_state, resume

NAME = "affect"
# For those who ask for no variant, the first of these that there is.
DEFAULTS = (FACE_VOICE, "expressions", "avi-gas")
OK, RESET = "ok", "reset"
UNSPOKEN = "there was sound without speech: it is not used"
ONLY_AROUSAL = "a voice alone tells arousal; valence is estimated of faces"


@dataclass(frozen=True)
class AffectParts:
    """The predictor, checkpoints and tracker that answers are made with.

    `checkpoints` holds the variants served, `tracker` the checkpoint of the face tracker, whose
    state is part of a session's. `missing` names variants in the store that cannot be served, each
    with the reason.
    """

    predictor: AffectPredictor
    checkpoints: Mapping[str, Checkpoint]
    tracker: Checkpoint
    missing: Mapping[str, str] = field(default_factory=dict)
    attributes: FaceAttributes = field(default_factory=FaceAttributes)

    @property
    def default(self) -> str:
        """The variant for those who ask for none."""
        there = (name for name in DEFAULTS if name in self.checkpoints)
        return next(there, next(iter(self.checkpoints)))

    def written_by(self, variant: str) -> tuple[str, str]:
        """Name the writer of a variant's states by a name and the hash that `describe` tells.

        By the hash a state finds its way to the version of the model that wrote it; the name tells
        variants apart, and all weights that a state depends on.
        """
        hashes = self.checkpoints[variant].sha256 + self.tracker.sha256
        name = f"{variant}-{hashlib.sha256(hashes.encode()).hexdigest()[:12]}"
        return name, self.checkpoints[self.default].sha256


@dataclass(frozen=True)
class ReadRow:
    """One row, read; `reset` says why the state is not the one given."""

    row: AffectRow
    frames: Frames
    reset: str | None


@dataclass(frozen=True)
class Photograph:
    """A picture, read, with its faces' landmarks, `(68, 2)` each where told, and their boxes."""

    frames: Frames
    boxes: Sequence[Floats]
    variant: str
    landmarks: Sequence[Floats] | None = None
    actions: Sequence[Floats | None] | None = None


class AffectHandler(Handler[ReadRow | Photograph]):
    """Serves affect from the model store."""

    def __init__(
        self,
        model_store: Path,
        device: str = "cpu",
        load: Callable[[Path, str], AffectParts] | None = None,
    ) -> None:
        """Load the predictor on `device`; raises CheckpointError for a store without one."""
        self.parts = (load or load_parts)(model_store, device)
        checkpoints = self.parts.checkpoints.items()
        self._models = {variant: name_model(NAME, found) for variant, found in checkpoints}

    def describe(self) -> dict[str, Any]:
        """Return the name, version and weights hash of the default variant, its licence and
        figures."""
        checkpoints = self.parts.checkpoints
        variants = sorted(checkpoints)
        return describe_model(NAME, checkpoints[self.parts.default], variants=variants)

    def decode(self, request: Request) -> ReadRow | Photograph:
        """Check options, times and sound, read the state, decode frames; raises InputError."""
        parts, inputs = self.parts, request.inputs
        variants = sorted(parts.checkpoints)
        options = AffectRowOptions.parse(request.options, variants, parts.default, parts.missing)
        if "boxes" in inputs:
            self._check_sees(options.variant)
            return _read_photograph(inputs, options)
        state, reset = resume(partial(self._read_state, options.variant), request.state)
        frames = read_frames(inputs.get("frames"), options.max_pixels)
        after_s = float("-inf") if state is None else state.time_s
        times_s = read_times(inputs.get("times_s"), len(frames.images), after_s)
        sound = read_sound(inputs.get("sound"))
        row = AffectRow(
            frames.images,
            times_s,
            sound,
            state,
            options.variant,
            options.min_face_px,
            options.min_quality,
            options.max_faces,
            options.smoothing_s,
        )
        return ReadRow(row, frames, reset)

    def compute(self, items: Sequence[ReadRow | Photograph]) -> list[Answer]:
        """Return every row to its end, in shared batches; photographs one after the other."""
        rows = [item for item in items if isinstance(item, ReadRow)]
        answers = iter(self._follow(rows) if rows else [])
        return [
            self._look(item) if isinstance(item, Photograph) else next(answers) for item in items
        ]

    def _follow(self, items: Sequence[ReadRow]) -> list[Answer]:
        describe = partial(describe_faces, self.parts.attributes)
        results = self.parts.predictor.step([item.row for item in items], describe)
        return [
            (self._outputs(item, result), self._dump(item.row.variant, result.state))
            for item, result in zip(items, results, strict=True)
        ]

    def _check_sees(self, variant: str) -> None:
        """Refuse a variant that only hears: a photograph has nothing for it."""
        estimators = self.parts.predictor.estimators
        if not estimators[variant].sees:
            seeing = ", ".join(sorted(name for name, one in estimators.items() if one.sees))
            refuse(f"variant {variant} only hears; of photographs, ask one of {seeing}")

    def _look(self, item: Photograph) -> Answer:
        start = time.perf_counter()
        (image,) = item.frames.images
        assert image is not None
        found = self.parts.predictor.look(
            image, item.boxes, item.variant, item.landmarks, item.actions
        )
        taken_ms = (time.perf_counter() - start) * 1000
        outputs = {
            "model": self._models[item.variant],
            "variant": item.variant,
            "notes": list(item.frames.notes),
            "timings_ms": {"decode": item.frames.decode_ms, "estimate": taken_ms},
            "faces": [_estimate(face) for face in found],
        }
        return outputs, None

    def restart(self, item: ReadRow | Photograph) -> ReadRow | None:
        """Return the row as the first of a session."""
        if isinstance(item, Photograph) or item.row.state is None:
            return None
        return replace(item, row=replace(item.row, state=None), reset=UNUSABLE)

    def _read_state(self, variant: str, blob: bytes) -> AffectState:
        written = load_state(blob, *self.parts.written_by(variant), SCHEMA)
        return AffectState.from_tensors(*written)

    def _dump(self, variant: str, state: AffectState) -> bytes:
        return dump_state(state.to_tensors(), *self.parts.written_by(variant), SCHEMA, state.step)

    def _outputs(self, item: ReadRow, result: AffectResult) -> dict[str, Any]:
        reset = [] if item.reset is None else [item.reset]
        return {
            "model": self._models[item.row.variant],
            "variant": item.row.variant,
            "status": RESET if reset else OK,
            "notes": [*reset, *item.frames.notes, *_notes(result.frames)],
            "timings_ms": {"decode": item.frames.decode_ms, **result.timings_ms},
            "frames": [_frame(*pair) for pair in zip(result.frames, result.records, strict=True)],
        }


def _read_photograph(inputs: Mapping[str, Any], options: AffectRowOptions) -> Photograph:
    frames = read_frames(inputs.get("frames"), options.max_pixels)
    if len(frames.images) != 1 or frames.images[0] is None:
        refuse("boxes need exactly one picture in frames")
    boxes = check_boxes(inputs["boxes"], frames.images[0]) or []
    landmarks = read_landmarks(inputs.get("landmarks"), len(boxes))
    actions = read_actions(inputs.get("actions"), len(boxes))
    return Photograph(frames, boxes, options.variant, landmarks, actions)


def load_parts(model_store: Path, device: str) -> AffectParts:
    """Load the variants of the store, with the tracker that `track` serves.

    Raises CheckpointError where the store lacks the tracker, the speech detector or any variant.
    One that needs a library which is not installed is left out, and refused with the reason when
    asked for.
    """
    tracker = load_tracker(model_store, device)
    estimators, checkpoints, missing = {}, {}, {}
    for name in (*VARIANTS, *JOINED):
        if not has_estimator(model_store / name):
            continue
        try:
            estimators[name], checkpoints[name] = load_estimator(model_store / name, device)
        except MissingExtra as error:
            missing[name] = str(error)
    if not checkpoints:
        raise CheckpointError(f"{model_store} has no affect model, such as {DEFAULTS[-1]}")
    speech = load_speech_detector(model_store)
    predictor = AffectPredictor(estimators, tracker.predictor, speech)
    return AffectParts(predictor, checkpoints, tracker.checkpoint, missing, tracker.attributes)


def _notes(frames: Sequence[FrameAffect]) -> list[str]:
    """Name what was not estimated, and why."""
    unspoken = any(frame.unspoken for frame in frames)
    only_arousal = any(frame.valence is None and frame.arousal is not None for frame in frames)
    return [UNSPOKEN] * unspoken + [ONLY_AROUSAL] * only_arousal


def _frame(frame: FrameAffect, faces: Mapping[int, Record]) -> dict[str, Any]:
    return {
        "time_s": frame.time_s,
        **_estimate(frame),
        "quadrants": _named(QUADRANTS, frame.quadrants),
        "attention": list(frame.attention),
        "attention_ages_s": list(frame.attention_ages_s),
        "gate": frame.gate,
        "used": list(frame.used),
        "face": None if frame.face is None else faces[frame.face.track_id],
        "others": [
            {**_estimate(other), "face": faces[other.face.track_id]}
            for other in frame.others
            if other.face is not None
        ],
        "voice": None if frame.voice is None else {"arousal": frame.voice},
    }


def _estimate(frame: FrameAffect) -> dict[str, Any]:
    return {
        "valence": frame.valence,
        "arousal": frame.arousal,
        "quadrant": frame.quadrant,
        "expressions": _named(EXPRESSIONS, frame.expressions or None),
        "confidence": frame.confidence,
    }


def _named(names: Sequence[str], values: Iterable[float] | None) -> dict[str, float] | None:
    return None if values is None else dict(zip(names, map(float, values), strict=True))
