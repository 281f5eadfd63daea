"""Clips without landmarks: what was lost for how long, and who was taken for somebody else."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from handlers.evaluation.track.figures import draw_faces, open_writer
from handlers.evaluation.track.rows import TrackerRow
from handlers.predictors.detection.detector import FaceDetector
from handlers.predictors.tracking.results import TrackedFace
from handlers.processing.arrays import Floats
from handlers.processing.boxes import overlap
from handlers.training.datasets.video import frame_rate_hz, read_clip

SAME = 0.4  # overlap of boxes that show one face
GAP_FRAMES = 3  # that a tracklet of detections may bridge
FULL_FACES = 8


@dataclass(frozen=True, slots=True)
class ClipResult:
    """One tracker on one clip.

    Attributes:
        frames, fps: of the clip.
        followed: frames in which at least one face has landmarks; `first` is the first of them.
        lost: frames in which every known face is lost; `longest_lost` the longest run of them.
        searching: frames without any face.
        faces: ids given in all.
        switches: how often a face that the detector sees going on changes its id.
        ms: median time of a step.
    """

    tracker: str
    clip: str
    frames: int
    fps: float
    followed: int
    first: int | None
    lost: int
    longest_lost: int
    searching: int
    faces: int
    switches: int | None
    ms: float


def run_clip(
    path: Path,
    row: TrackerRow,
    faces: int = 1,
    detector: FaceDetector | None = None,
    video: Path | None = None,
) -> ClipResult:
    """Follow up to `faces` faces through a clip, from its first detection on.

    With a detector identity switches are counted against its tracklets; with `video` the frames
    are written there with what was found. Raises ValueError for a clip that cannot be decoded.
    """
    fps = frame_rate_hz(path)
    options = replace(row.options, max_faces=faces)
    writer, state = None, None
    statuses: list[str] = []
    ms: list[float] = []
    seen: list[Sequence[TrackedFace]] = []
    tracklets = Tracklets()
    for frame in read_clip(path):
        start = time.perf_counter()
        ((result, state),) = row.predictor.step([frame.image], [state], [options])
        ms.append((time.perf_counter() - start) * 1000)
        statuses.append(_status(result.faces))
        seen.append(result.faces)
        if detector is not None:
            (found,) = detector.detect([frame.image], min_face_px=options.min_face_px)
            tracklets.add([one.landmark_box for one in found], result.faces)
        if video is not None:
            writer = writer or open_writer(video, frame.image.shape, fps)
            writer.write(draw_faces(frame.image, result.faces)[..., ::-1])
    if writer is not None:
        writer.release()
    return ClipResult(
        tracker=row.name,
        clip=path.name,
        frames=len(statuses),
        fps=fps,
        followed=statuses.count("followed"),
        first=statuses.index("followed") if "followed" in statuses else None,
        lost=statuses.count("lost"),
        longest_lost=longest_run(statuses, "lost"),
        searching=statuses.count("searching"),
        faces=len({face.track_id for faces in seen for face in faces}),
        switches=tracklets.switches if detector is not None else None,
        ms=float(np.median(ms)) if ms else math.nan,
    )


class Tracklets:
    """Detections linked from frame to frame by overlap, and the ids that a tracker gave them."""

    def __init__(self) -> None:
        self.switches = 0
        self._open: list[dict[str, Any]] = []

    def add(self, boxes: Sequence[Floats], faces: Sequence[TrackedFace]) -> None:
        """Add one frame: the detector's landmark boxes and the tracker's faces."""
        for tracklet in self._open:
            tracklet["age"] += 1
        free = [tracklet for tracklet in self._open if tracklet["age"] <= GAP_FRAMES + 1]
        self._open = []
        for box in boxes:
            shared = [overlap(box, tracklet["box"]) for tracklet in free]
            if shared and max(shared) >= SAME:
                tracklet = free.pop(int(np.argmax(shared)))
            else:
                tracklet = {"id": None}
            self._open.append({**tracklet, "box": box, "age": 0})
        for tracklet in self._open:
            self._name(tracklet, faces)
        self._open += free

    def _name(self, tracklet: dict[str, Any], faces: Sequence[TrackedFace]) -> None:
        followed = [face for face in faces if face.landmarks is not None]
        shared = [overlap(tracklet["box"], face.box) for face in followed]
        if not shared or max(shared) < SAME:
            return
        ident = followed[int(np.argmax(shared))].track_id
        if tracklet["id"] not in (None, ident):
            self.switches += 1
        tracklet["id"] = ident


def longest_run(values: Sequence[str], wanted: str) -> int:
    """Return the length of the longest run of a value."""
    longest = run = 0
    for value in values:
        run = run + 1 if value == wanted else 0
        longest = max(longest, run)
    return longest


def _status(faces: Sequence[TrackedFace]) -> str:
    if not faces:
        return "searching"
    return "followed" if any(face.landmarks is not None for face in faces) else "lost"
