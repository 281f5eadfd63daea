"""Face detectors to figures: faces found of those there, and faces found where there are none.

    python -m handlers.evaluation.detection model_store DATA/helen/test --empty no_face.mp4

A face counts as found when the landmark box that a detection predicts overlaps the true one by
more than half (intersection over union).
"""

import argparse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from handlers.evaluation.align.running import CLEAN, Condition, FaceView, apply, read_view
from handlers.predictors.detection.detector import MIN_FACE_PX, FaceDetector
from handlers.processing.arrays import Image
from handlers.processing.boxes import overlap
from handlers.processing.landmarks import bounding_box
from handlers.store import load_detector
from handlers.training.datasets.layouts import read_layout
from handlers.training.datasets.video import read_clip

LEAST_OVERLAP = 0.5
SCENE_PX = (640, 480)  # width, height
PASTED_PX = (40.0, 80.0)
CONDITIONS = (
    CLEAN,
    Condition("blur", 5),
    Condition("downsampling", 8),
    Condition("noise", 0.01),
    Condition("color", 0.2),
)


@dataclass(frozen=True)
class DetectionRecall:
    """Faces found of those there; `mean_overlap` of their landmark boxes; detections of nothing.

    `spare` counts detections beyond the one that each found face may have: second boxes on a
    face, unlabelled faces, and false alarms.
    """

    faces: int
    found: int
    mean_overlap: float
    spare: int

    @property
    def rate(self) -> float:
        return self.found / self.faces if self.faces else float("nan")


def measure_recall(
    detector: FaceDetector, views: Iterable[FaceView], min_face_px: int = MIN_FACE_PX
) -> DetectionRecall:
    """Search pictures that each hold one annotated face."""
    faces, shared, spare = 0, [], 0
    for view in views:
        found = detector.detect([view.image], min_face_px=min_face_px)[0]
        truth = bounding_box(view.landmarks)
        best = max((overlap(face.landmark_box, truth) for face in found), default=0.0)
        faces += 1
        if best > LEAST_OVERLAP:
            shared.append(best)
        spare += len(found) - (best > LEAST_OVERLAP)
    return DetectionRecall(faces, len(shared), float(np.mean(shared)) if shared else 0.0, spare)


def count_false(
    detector: FaceDetector, images: Iterable[Image], min_face_px: int = MIN_FACE_PX
) -> list[int]:
    """Return detections in each of some pictures that hold no face."""
    return [len(detector.detect([image], min_face_px=min_face_px)[0]) for image in images]


def paste(
    view: FaceView, scene: Image, rng: np.random.Generator, face_px: tuple[float, float] = PASTED_PX
) -> FaceView:
    """Return the view's picture somewhere in a scene `(H, W, 3)`, all landmarks inside it.

    The height of the landmark box is drawn uniformly from the range `face_px`.
    """
    box = bounding_box(view.landmarks)
    scale = rng.uniform(*face_px) / float(box[3] - box[1])
    height, width = (max(round(side * scale), 1) for side in view.image.shape[:2])
    small = _shrunk(view.image, width, height)
    ratio = np.array([width / view.image.shape[1], height / view.image.shape[0]])
    landmarks = (view.landmarks + 0.5) * ratio - 0.5
    room = np.array(scene.shape[1::-1]) - 1 - landmarks.max(axis=0)
    corner = np.floor(rng.uniform(-landmarks.min(axis=0), room)).astype(int)
    return FaceView(_overlay(scene, small, *corner), (landmarks + corner).astype(np.float32))


def _shrunk(image: Image, width: int, height: int) -> Image:
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _overlay(scene: Image, patch: Image, x: int, y: int) -> Image:
    """Return a copy of the scene with a patch whose corner is at (x, y), cut where it
    sticks out."""
    pixels = scene.copy()
    target = pixels[max(y, 0) : max(y + patch.shape[0], 0), max(x, 0) : max(x + patch.shape[1], 0)]
    left, top = max(-x, 0), max(-y, 0)
    target[:] = patch[top : top + target.shape[0], left : left + target.shape[1]]
    return pixels


def read_empty(path: Path, every: int = 10) -> Iterator[Image]:
    """Read a picture `(H, W, 3)` RGB, or every so manyth frame of a clip.

    Raises ValueError if it is neither.
    """
    return (frame.image for frame in islice(read_clip(path), None, None, every))


def report(
    detector: FaceDetector,
    views: Sequence[FaceView],
    empty: Sequence[Image],
    min_face_px: int,
    seed: int,
) -> Iterator[str]:
    """Return lines with the recall under each condition and of pasted faces, and the false
    alarms."""
    for condition in CONDITIONS:
        rng = np.random.default_rng(seed)
        changed = (apply(view, condition, rng) for view in views)
        yield line(str(condition), measure_recall(detector, changed, min_face_px))
    rng = np.random.default_rng(seed)
    grey = np.full((*SCENE_PX[::-1], 3), 128, np.uint8)
    scenes = [_shrunk(image, *SCENE_PX) for image in empty] or [grey]
    pasted = (paste(view, scenes[i % len(scenes)], rng) for i, view in enumerate(views))
    low, high = PASTED_PX
    yield line(f"pasted {low:g}-{high:g} px", measure_recall(detector, pasted, min_face_px))
    alarms = count_false(detector, empty, min_face_px)
    wrong = sum(count > 0 for count in alarms)
    yield f"{sum(alarms)} faces in {len(empty)} pictures without any, in {wrong} of them"


def line(name: str, recall: DetectionRecall) -> str:
    return (
        f"{name:20} {recall.found:4} of {recall.faces:4} {recall.rate:7.2%}  "
        f"overlap {recall.mean_overlap:.3f}  spare {recall.spare}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model_store", type=Path)
    parser.add_argument("data", type=Path, nargs="+", help="annotated faces, one a picture")
    parser.add_argument("--empty", type=Path, nargs="*", default=[], help="no faces in these")
    parser.add_argument("--min-face-px", type=int, default=MIN_FACE_PX, help="pixels")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    detector = load_detector(options.model_store, options.device)
    samples = [sample for folder in options.data for sample in read_layout(folder)]
    views = [read_view(sample.image_path, sample.landmarks) for sample in samples]
    empty = [image for path in options.empty for image in read_empty(path)]
    for text in report(detector, views, empty, options.min_face_px, options.seed):
        print(text, flush=True)


if __name__ == "__main__":
    main()
