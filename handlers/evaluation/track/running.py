"""Trackers over annotated videos to traces: every frame is rendered once and shown to all."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers.evaluation.metrics import box_size, nme_box
from handlers.evaluation.track.rows import TrackerRow
from handlers.evaluation.track.sequences import TrackedFrame, TrackedVideo, first_box
from handlers.predictors.tracking.results import FrameResult
from handlers.predictors.tracking.state import SessionState
from handlers.processing.boxes import overlap
from handlers.processing.landmarks import bounding_box

FRAMES_A_SECOND = 25  # of the made videos and of 300-VW's

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class TrackTrace:
    """One tracker's results on one video, frame by frame `(N,)`.

    `errors` are over the box size: infinite where a face that counts was not found, not a number
    where the frame does not count. `overlaps` compare the reported box with the true one, 0 with
    no face reported, not a number with no truth. `points` and `truth` `(N, 68, 2)` are in pixels,
    not a number where there are none; `sizes` is the true box size. `inside` and `covered` are
    shares of the true landmarks; `found` tells whether landmarks were reported, `ids` of which
    face (0: none), `ms` the time of the step.
    """

    video: str
    group: str
    category: str
    errors: Doubles
    overlaps: Doubles
    points: Floats
    truth: Floats
    sizes: Doubles
    inside: Doubles
    covered: Doubles
    found: Flags
    ids: NDArray[np.int64]
    ms: Doubles

    @property
    def counts(self) -> Flags:
        """The frames that are measured."""
        return ~np.isnan(self.errors)


def run(
    videos: Sequence[TrackedVideo],
    rows: Sequence[TrackerRow],
    done: Callable[[int], None] = lambda _: None,
) -> dict[str, list[TrackTrace]]:
    """Traces of every row over every video; each starts from the true box of the first frame.

    `done` hears how many frames are through.
    """
    traces: dict[str, list[TrackTrace]] = {row.name: [] for row in rows}
    for video in videos:
        for row, trace in zip(rows, follow(video, rows, done), strict=True):
            traces[row.name].append(trace)
    return traces


def follow(
    video: TrackedVideo, rows: Sequence[TrackerRow], done: Callable[[int], None]
) -> list[TrackTrace]:
    """Traces of one video."""
    states: list[Any] = [SessionState.at([first_box(video)]) for _ in rows]
    lines: list[list[tuple[Any, ...]]] = [[] for _ in rows]
    for number, frame in enumerate(video):
        for index, row in enumerate(rows):
            start = time.perf_counter()
            ((result, states[index]),) = row.predictor.step(
                [frame.image], [states[index]], [row.options], [number / FRAMES_A_SECOND]
            )
            ms = (time.perf_counter() - start) * 1000
            lines[index].append((*measure(frame, result), ms))
        done(1)
    columns = [[np.array(column) for column in zip(*part, strict=True)] for part in lines]
    return [TrackTrace(video.name, video.group, video.category, *part) for part in columns]


def measure(frame: TrackedFrame, result: FrameResult) -> tuple[Any, ...]:
    """One frame's values in the order of `TrackTrace`, from `errors` to `ids`."""
    face = result.faces[0] if result.faces else None
    nothing = np.full((68, 2), np.nan, np.float32)
    points = nothing if face is None or face.landmarks is None else face.landmarks
    truth = nothing if frame.landmarks is None else frame.landmarks
    found = bool(np.isfinite(points).all())
    error, shared, size = np.nan, np.nan, np.nan
    if frame.landmarks is not None:
        size = box_size(truth)
        shared = 0.0 if face is None else overlap(face.box, bounding_box(truth))
    if frame.counts:
        error = nme_box(points, truth) if found else np.inf
    ident = 0 if face is None else face.track_id
    return error, shared, points, truth, size, frame.inside, frame.covered, found, ident
