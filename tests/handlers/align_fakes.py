"""An align handler whose networks are told what to find, pictures for it, and its answers."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow

from handlers.align import AlignHandler, AlignParts
from handlers.attributes import load_attributes
from handlers.checkpoint import Checkpoint, load_checkpoint
from handlers.predictors.alignment import Alignment
from handlers.predictors.detection.detector import Detection, Hint
from handlers.wire import pack, unpack

ROOT = Path(__file__).parents[2]
STORE = ROOT / "model_store"
SHAPES = load_checkpoint(STORE / "face_shape").tensors
MEAN = SHAPES["mean_shape"].numpy()
WIDTH, HEIGHT = 200, 160
POISON = 250


class FakeDetector:
    """Finds as many faces as the picture's red value says; a poisoned picture makes it fail."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, int, int]] = []

    def detect(
        self, images: Sequence[np.ndarray], min_face_px: int, max_faces: int
    ) -> list[list[Detection]]:
        self.calls.append((len(images), min_face_px, max_faces))
        if any(image[0, 0, 0] == POISON for image in images):
            raise RuntimeError("poisoned")
        return [[detection(n) for n in range(image[0, 0, 0])][:max_faces] for image in images]

    def detect_hinted(
        self, images: Sequence[np.ndarray], min_face_px: int, max_faces: int
    ) -> list[tuple[list[Detection], list[Hint]]]:
        return [(faces, []) for faces in self.detect(images, min_face_px, max_faces)]


def detection(n: int) -> Detection:
    box = np.array([10 + 20 * n, 10, 90 + 20 * n, 100], np.float32)
    return Detection(box, 0.9 - n / 10, np.zeros((5, 2), np.float32), box + (2, 20, -2, 3))


class FakeAligner:
    """Lays the mean shape into each box; what it was told of denoising shows in `denoised`."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, bool, int]] = []

    def align(
        self, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray], denoise: bool, looks: int
    ) -> list[list[Alignment]]:
        self.calls.append((len(images), denoise, looks))
        return [[self.face(box, denoise) for box in rows] for rows in boxes]

    def face(self, box: np.ndarray, denoise: bool) -> Alignment:
        low, high = MEAN.min(axis=0), MEAN.max(axis=0)
        landmarks = (MEAN - low) / (high - low) * (box[2:] - box[:2]) + box[:2]
        crop = np.full((128, 128, 3), 50, np.uint8)
        return Alignment(
            landmarks.astype(np.float32),
            0.8,
            "blur" if denoise else "clean",
            {"clean": 0.25, "blur": 0.75} if denoise else {"clean": 1.0},
            denoise,
            crop,
        )

    def clean(self, face: Alignment) -> np.ndarray:
        return face.crop + 100 if face.denoised else face.crop


def fake_handler() -> AlignHandler:
    """Return a handler of the fakes, of version 1.2."""
    checkpoint = Checkpoint("fake", "1.2", {"licence": "X", "channels": 8}, {}, "ab" * 32)
    attributes = load_attributes(STORE)
    parts = AlignParts(FakeDetector(), FakeAligner(), checkpoint, MEAN, attributes)
    return AlignHandler(Path("nowhere"), load=lambda store, device: parts)


def picture(faces: int = 1, format: str = "PNG", **options: Any) -> bytes:
    pixels = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    pixels[..., 0] = faces
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, format, **options)
    return buffer.getvalue()


def row(image: object, **options: object) -> bytes:
    return pack({"inputs": {"image": image}, "options": options})


def ask(handler: AlignHandler, *rows: bytes) -> list[dict[str, Any]]:
    return [unpack(reply) for reply in handler.handle(list(rows))]


def outputs(handler: AlignHandler, image: bytes, **options: object) -> dict[str, Any]:
    (reply,) = ask(handler, row(image, **options))
    assert "error" not in reply, reply["error"]
    return dict(reply["outputs"])


def error(handler: AlignHandler, image: object, **options: object) -> tuple[str, str]:
    (reply,) = ask(handler, row(image, **options))
    return reply["error"]["type"], reply["error"]["detail"]
