"""The `align` model: rows with one encoded picture each <-> its faces with 68 landmarks.

Of a row, `inputs` is `{"image": bytes}`; `options`, all optional, are those of AlignOptions.
Errors: `not-an-image`, `invalid-image`, `truncated-image`, `too-many-pixels`, `invalid-box`,
`invalid-request`, `internal`.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from handlers.attributes import FaceAttributes, SeenFace, load_attributes
from handlers.base import Answer, Handler
from handlers.checkpoint import Checkpoint, describe_model, load_arrays, name_model
from handlers.engines.choice import trim
from handlers.predictors.alignment import LOOKS_AT_DETECTED, AlignmentPredictor
from handlers.predictors.detection.detector import (
    TURNS_DEG,
    FaceDetector,
    Hint,
    search_hints,
    search_turned,
)
from handlers.predictors.faces import (
    FoundBox,
    FoundFace,
    best_at_each_place,
    hints_at,
    join_faces,
    stack_boxes,
    turned_places,
)
from handlers.processing.boxes import beyond_picture
from handlers.processing.drawing import DrawnFace, draw_faces
from handlers.processing.image import DecodedImage, encode_png
from handlers.processing.landmarks import DegenerateShape, Similarity
from handlers.processing.pose import HeadPose
from handlers.row_checks import MOST_FACES, AlignOptions, check_boxes, read_picture
from handlers.store import FACE_SHAPE, load_aligner, load_detector
from handlers.wire import Request

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]
Key = TypeVar("Key", int, tuple[str, bool])

NAME, ALIGNER = "align", "dfa"
# 1 upright face in 100 is less sure, and so are all landmarks fitted upright to a turned face.
# Such a face is looked at turned; where no face is sure, turned ones are searched for.
SURE = 0.75
LOOKS_AT_TURNED = 3
QUARTERS_RAD = tuple(np.radians((90, 180, 270)).tolist())
# Of a picture: the search leaves more memory with the allocator than others need.
LARGE_BYTES = 12_000_000


@dataclass(frozen=True)
class AlignParts:
    """The predictors, the mean shape in the plane and the attributes that answers are made with."""

    detector: FaceDetector
    aligner: AlignmentPredictor
    checkpoint: Checkpoint
    mean_shape: Floats
    attributes: FaceAttributes


@dataclass(frozen=True)
class AlignRow:
    """One decoded row; `boxes`, `(4,)` each, where the caller gave them."""

    image: DecodedImage
    options: AlignOptions
    boxes: list[Floats] | None
    decode_ms: float


class AlignHandler(Handler[AlignRow]):
    """Serves alignment from the model store."""

    def __init__(
        self,
        model_store: Path,
        device: str = "cpu",
        load: Callable[[Path, str], AlignParts] | None = None,
    ) -> None:
        """Load the predictors on `device`; raises CheckpointError for a store that lacks them."""
        self.parts = (load or load_parts)(model_store, device)
        self._model = name_model(NAME, self.parts.checkpoint)

    def describe(self) -> dict[str, Any]:
        """Tell name, version and weights hash of what answers, with its licence and figures."""
        return describe_model(NAME, self.parts.checkpoint)

    def decode(self, request: Request) -> AlignRow:
        """Check options and boxes and decode the picture; raises InputError."""
        options = AlignOptions.parse(request.options)
        image, decode_ms = read_picture(request.inputs.get("image"), options.max_pixels)
        boxes = check_boxes(options.boxes, image.pixels)
        return AlignRow(image, options, boxes, decode_ms)

    def compute(self, items: Sequence[AlignRow]) -> list[Answer]:
        """Detect and align the faces of all rows in shared batches.

        Where nothing is a face for sure, faces turned by any angle are searched for. Times are
        those of the whole batch that a row was answered in.
        """
        start = time.perf_counter()
        found, hints = self._detect(items)
        detect_ms = _since(start)
        start = time.perf_counter()
        faces = self._align(items, found)
        for index, row in enumerate(items):
            if row.boxes is None:
                faces[index] = self._settle(row, faces[index], hints[index])
        times = {"detect": detect_ms, "align": _since(start)}
        outputs = [self._outputs(*row, times) for row in zip(items, faces, strict=True)]
        if max(row.image.pixels.size for row in items) > LARGE_BYTES:
            trim()
        return [(one, None) for one in outputs]

    def _detect(self, rows: Sequence[AlignRow]) -> tuple[list[list[FoundBox]], list[list[Hint]]]:
        """Find places of upright faces, and those where one may be turned."""
        found = [[FoundBox(box, None) for box in row.boxes or ()] for row in rows]
        hinted: list[list[Hint]] = [[] for _ in rows]
        searched = [index for index, row in enumerate(rows) if row.boxes is None]
        for min_face_px, group in _grouped(searched, lambda i: rows[i].options.min_face_px):
            pictures = [rows[index].image.pixels for index in group]
            most = max(rows[index].options.max_faces for index in group)
            detections = self.parts.detector.detect_hinted(pictures, min_face_px, most)
            for index, (faces, hints) in zip(group, detections, strict=True):
                faces = faces[: rows[index].options.max_faces]
                found[index] = [FoundBox(face.landmark_box, face.score) for face in faces]
                hinted[index] = hints
        return found, hinted

    def _align(
        self, rows: Sequence[AlignRow], found: Sequence[Sequence[FoundBox]]
    ) -> list[list[FoundFace]]:
        aligned: list[list[FoundFace]] = [[] for _ in rows]
        kinds = [(row.options.denoise, row.boxes is None) for row in rows]
        for (denoise, detected), group in _grouped(range(len(rows)), kinds.__getitem__):
            pictures = [rows[index].image.pixels for index in group]
            boxes = [stack_boxes(found[index]) for index in group]
            looks = LOOKS_AT_DETECTED if detected else 1
            faces = self.parts.aligner.align(pictures, boxes, denoise == "auto", looks)
            for index, of_row in zip(group, faces, strict=True):
                aligned[index] = join_faces(found[index], of_row)
        return aligned

    def _settle(
        self, row: AlignRow, faces: Sequence[FoundFace], hints: Sequence[Hint]
    ) -> list[FoundFace]:
        """Look at doubtful faces turned, search for turned ones; keep those of enough quality."""
        least, most = row.options.min_quality, row.options.max_faces
        doubtful = [face.place for face in faces if face.alignment.confidence < SURE]
        turned = [replace(place, roll_rad=roll) for place in doubtful for roll in QUARTERS_RAD]
        if turned:
            faces = best_at_each_place([*faces, *self._look_turned(row, turned)])
        if hints:
            places = search_hints(self.parts.detector, row.image.pixels, hints)
            faces = best_at_each_place([*faces, *self._look_turned(row, turned_places(places))])
        for turns_deg in TURNS_DEG:
            sure = [face for face in faces if face.alignment.confidence >= SURE]
            # Where one face is turned, others are, too.
            if not sure or any(hints_at(turns_deg, face) for face in sure):
                faces = best_at_each_place([*faces, *self._search_turned(row, turns_deg)])
        return [face for face in faces if face.quality >= least][:most]

    def _search_turned(self, row: AlignRow, turns_deg: Sequence[int]) -> list[FoundFace]:
        pixels, smallest = row.image.pixels, row.options.min_face_px
        found = search_turned(self.parts.detector, pixels, smallest, turns_deg)
        return self._look_turned(row, turned_places(found))

    def _look_turned(self, row: AlignRow, places: Sequence[FoundBox]) -> list[FoundFace]:
        if not places:
            return []
        (aligned,) = self.parts.aligner.align(
            [row.image.pixels],
            [stack_boxes(places)],
            row.options.denoise == "auto",
            LOOKS_AT_TURNED,
            [[place.roll_rad for place in places]],
        )
        return [face for face in join_faces(places, aligned) if face.is_credible]

    def _outputs(
        self,
        row: AlignRow,
        faces: Sequence[FoundFace],
        times: dict[str, float],
    ) -> dict[str, Any]:
        image, include = row.image, row.options.include
        height, width = image.pixels.shape[:2]
        attributes = self.parts.attributes.compute(
            [
                SeenFace(image.pixels, face.alignment.landmarks, face.alignment, face.place.score)
                for face in faces
            ]
        )
        seen = list(zip(faces, attributes, strict=True))
        read = {"format": image.format, "rotated": image.rotated, "frames": image.frames}
        outputs: dict[str, Any] = {
            "model": self._model,
            "image": {"width": width, "height": height, **read},
            "notes": [*image.notes, *beyond_picture(row.boxes or (), width, height)],
            "faces": [self._face(row, *face) for face in seen],
            "timings_ms": {"decode": row.decode_ms, **times},
        }
        if "overlay" in include:
            outputs["overlay"] = encode_png(draw_faces(image.pixels, [_drawn(*f) for f in seen]))
        return outputs

    def _face(self, row: AlignRow, found: FoundFace, attributes: dict[str, Any]) -> dict[str, Any]:
        face = found.alignment
        similarity = self._similarity(face.landmarks)
        outputs: dict[str, Any] = {
            "box": found.box.tolist(),
            "score": found.place.score,
            "landmarks": face.landmarks.tolist(),
            "denoised": face.denoised,
            "similarity": None if similarity is None else asdict(similarity),
            **attributes,
        }
        if "aligned" in row.options.include and similarity is not None:
            outputs["aligned"] = encode_png(similarity.extract(row.image.pixels))
        if "denoised" in row.options.include:
            outputs["denoised_face"] = encode_png(self.parts.aligner.clean(face))
        return outputs

    def _similarity(self, landmarks: Floats) -> Similarity | None:
        """Fit the similarity to the mean shape; None for landmarks that fall into one place."""
        try:
            return Similarity.fit(landmarks, self.parts.mean_shape)
        except DegenerateShape:
            return None


def load_parts(model_store: Path, device: str) -> AlignParts:
    """Load the parts that are served; raises CheckpointError naming what the store lacks."""
    aligner = load_aligner(model_store, ALIGNER, device)
    mean_shape = load_arrays(model_store / FACE_SHAPE)["mean_shape"]
    detector = load_detector(model_store, device)
    _warm_up(detector, aligner.predictor)
    return AlignParts(
        detector,
        aligner.predictor,
        aligner.checkpoint,
        mean_shape,
        load_attributes(model_store),
    )


def _warm_up(detector: FaceDetector, aligner: AlignmentPredictor) -> None:
    """Compute once on an empty picture: the first call of a kernel is the slowest."""
    picture = np.zeros((480, 640, 3), np.uint8)
    detector.detect([picture], 40, MOST_FACES)
    aligner.align([picture], [np.array([[200, 120, 440, 360]], np.float32)], True, 1)


def _grouped(indices: Iterable[int], key: Callable[[int], Key]) -> Iterable[tuple[Key, list[int]]]:
    """Group indices by their keys, in order of first appearance."""
    groups: dict[Key, list[int]] = {}
    for index in indices:
        groups.setdefault(key(index), []).append(index)
    return groups.items()


def _drawn(found: FoundFace, attributes: dict[str, Any]) -> DrawnFace:
    face, pose = found.alignment, attributes["pose"]
    label = f"{attributes['quality']:.2f} {face.degradation}"
    return DrawnFace(found.box, face.landmarks, pose and HeadPose(**pose), label)


def _since(start: float) -> float:
    return (time.perf_counter() - start) * 1000
