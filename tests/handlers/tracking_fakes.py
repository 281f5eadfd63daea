"""A world of scripted faces: what a detector, BT, FV and a landmark network would say of it.

A frame carries its number in its first pixel; the script says, by that number, where faces are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from handlers.predictors.alignment import Alignment
from handlers.predictors.detection.detector import Detection
from handlers.predictors.tracking.attempt import distance_ratio
from handlers.predictors.tracking.networks import Estimate, Recall, TrackingNetworks, View
from handlers.predictors.tracking.options import TrackingOptions, TrackingSettings
from handlers.predictors.tracking.predictor import TrackingPredictor
from handlers.predictors.tracking.results import FrameResult
from handlers.predictors.tracking.state import SessionState
from handlers.processing.boxes import Crop
from handlers.processing.landmarks import bounding_box
from tests.handlers.engine_fakes import FunctionEngine

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]
Faces = Mapping[int, Sequence[Floats]]
UPRIGHT = 255  # marks the pixel that carries the number
GRID = np.stack(np.meshgrid(np.arange(17), np.arange(4)), axis=-1).reshape(68, 2) / (16, 3)
THESIS = TrackingSettings(2.0, 1.3, t_b=1.0, t_c=0.5, seq_bt=2, patience=None)


def box(x: float, y: float, side: float = 40) -> Floats:
    """A square box by its centre."""
    return np.array([x - side / 2, y - side / 2, x + side / 2, y + side / 2], np.float32)


def points_in(inside: Floats) -> Floats:
    """68 points whose bounding box is the given one."""
    return np.asarray(inside[:2] + GRID * (inside[2:] - inside[:2]), np.float32)


def numbered(number: int, height: int = 240, width: int = 320) -> Image:
    frame = np.zeros((height, width, 3), np.uint8)
    frame[0, 0] = (number // 256, number % 256, UPRIGHT)
    return frame


def number_of(frame: Image) -> int:
    return int(frame[0, 0, 0]) * 256 + int(frame[0, 0, 1])


def is_upright(frame: Image) -> bool:
    return int(frame[0, 0, 2]) == UPRIGHT


def detection(landmark_box: Floats, score: float = 0.9) -> Detection:
    return Detection(landmark_box, score, np.zeros((5, 2), np.float32), landmark_box)


def alignment(landmarks: Floats, denoise: bool, confidence: float = 1.0) -> Alignment:
    crop = np.zeros((128, 128, 3), np.uint8)
    kind = "blur" if denoise else "clean"
    return Alignment(landmarks, confidence, kind, {kind: 1.0}, denoise, crop)


@dataclass
class ScriptedDetector:
    """Detects what the script holds for a frame; `calls` lists the frames asked for.

    In a frame that comes turned there is nobody.
    """

    faces: Faces
    calls: list[list[int]] = field(default_factory=list)

    def detect(
        self, images: Sequence[Image], min_face_px: int = 40, max_faces: int = 64
    ) -> list[list[Detection]]:
        numbers = [number_of(image) for image in images if is_upright(image)]
        if numbers:
            self.calls.append(numbers)
        return [
            [detection(one) for one in self.faces.get(number_of(image), ()) if is_upright(image)]
            for image in images
        ]


@dataclass
class ScriptedAligner:
    """Puts the landmarks' box `shift` pixels to the right of where it was asked to look."""

    shift: float = 0.0
    confidence: float = 0.7
    calls: list[tuple[int, list[float], bool]] = field(default_factory=list)
    looks: list[int] = field(default_factory=list)

    def align(
        self,
        images: Sequence[Image],
        boxes: Sequence[Floats],
        denoise: bool,
        looks: int,
        rolls: Sequence[Sequence[float]] | None = None,
    ) -> list[list[Alignment]]:
        if rolls is not None:  # no face of the script is turned
            return [[alignment(points_in(one), denoise, 0.0) for one in rows] for rows in boxes]
        answers = []
        self.looks += [looks] * len(images)
        for image, (inside,) in zip(images, boxes, strict=True):
            self.calls.append((number_of(image), inside.tolist(), denoise))
            moved = inside + np.array([self.shift, 0, self.shift, 0], np.float32)
            answers.append([alignment(points_in(moved), denoise, self.confidence)])
        return answers

    def look(
        self, images: Sequence[Image], crops: Sequence[Crop], denoise: bool, likely_clean: bool
    ) -> list[Alignment]:
        boxes = [box(*crop.centre, crop.side if crop.side > 1 else 0)[None] for crop in crops]
        return [face for (face,) in self.align(images, boxes, denoise, 1)]

    def upright(self, landmarks: Floats) -> Crop:
        return Crop.around(bounding_box(landmarks), 1.0)


@dataclass(frozen=True)
class Asked:
    """One step of BT: the frame's number, P_b, the steps since h_0, and of what frame and box the
    features of X_{t-1} were; None where X_t's crop stood for both."""

    frame: int
    box: list[float]
    steps: int
    before: list[float] | None


class ScriptedNetworks(TrackingNetworks):
    """BT that follows the script's nearest face, or stays; FV that knows where faces are.

    Features are the frame's number and the box they are of, BT's state counts its steps.
    `probabilities` overrule FV by frame, `second_probabilities` what it answers when it is asked
    of that frame again; they are the same unless set.
    """

    def __init__(self, faces: Faces, probabilities: Mapping[int, float] | None = None) -> None:
        super().__init__(FunctionEngine(), FunctionEngine(), (2.0, 1.3))
        self.faces, self.probabilities = faces, probabilities or {}
        self.asked: list[Asked] = []
        self.remembered: list[list[float]] = []
        self.validated: list[int] = []
        self.second_probabilities: Mapping[int, float] = self.probabilities

    def remember(self, views: Sequence[View]) -> list[Floats]:
        self.remembered += [seen_at(view) for view in views]
        return [np.float32(seen_at(view)) for view in views]

    def estimate(self, views: Sequence[View], recalls: Sequence[Recall]) -> list[Estimate]:
        return [self._estimate(view, recall) for view, recall in zip(views, recalls, strict=True)]

    def validate(self, frames: Sequence[Image], landmarks: Sequence[Floats]) -> list[float]:
        answers = []
        for frame, points in zip(frames, landmarks, strict=True):
            number = number_of(frame)
            self.validated.append(number)
            first = self.validated.count(number) == 1
            asked = self.probabilities if first else self.second_probabilities
            answers.append(asked.get(number, self._is_face(number, points)))
        return answers

    def _estimate(self, view: View, recall: Recall) -> Estimate:
        steps = 0.0 if recall.state is None else float(recall.state["h1"][0])
        before = None if recall.features is None else recall.features.tolist()
        number = number_of(view.frame)
        self.asked.append(Asked(number, view.box.tolist(), int(steps), before))
        near = [one for one in self.faces.get(number, ()) if distance_ratio(view.box, one) < 0.7]
        near.sort(key=lambda one: distance_ratio(view.box, one))
        state = {name: np.array([steps + 1], np.float32) for name in ("h1", "c1", "h2", "c2")}
        found = near[0] if near else view.box
        return Estimate(points_in(found), state, np.float32(seen_at(view)))

    def _is_face(self, number: int, points: Floats) -> float:
        found = bounding_box(points)
        there = [distance_ratio(one, found) < 0.1 for one in self.faces.get(number, ())]
        return 0.9 if any(there) else 0.1


def seen_at(view: View) -> list[float]:
    return [float(number_of(view.frame)), *view.box.tolist()]


STILL = box(100, 100)

FACES: Faces = {number: [STILL] for number in range(40)}


class Run:
    """One session, frame by frame."""

    def __init__(
        self,
        faces: Faces = FACES,
        probabilities: dict[int, float] | None = None,
        options: TrackingOptions | None = None,
        start: NDArray[np.float32] | None = None,
        detections: Faces | None = None,
    ) -> None:
        self.networks = ScriptedNetworks(faces, probabilities)
        self.detector = ScriptedDetector(faces if detections is None else detections)
        self.aligner = ScriptedAligner()
        self.predictor = TrackingPredictor(self.networks, self.detector, self.aligner, THESIS)
        self.options = options or TrackingOptions()
        self.state = None if start is None else SessionState.at([start])

    def frames(self, numbers: Sequence[int]) -> list[FrameResult]:
        results = []
        for number in numbers:
            ((result, self.state),) = self.predictor.step(
                [numbered(number)], [self.state], [self.options]
            )
            results.append(result)
        return results

    def statuses(self, numbers: Sequence[int]) -> list[str]:
        return [result.status.value for result in self.frames(numbers)]
