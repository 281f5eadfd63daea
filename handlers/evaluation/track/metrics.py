"""Trackers over annotated videos to traces, and those to figures.

Every frame is rendered once and shown to all. The figures are accuracy, rigid overlap, jitter, lag,
recovery, and what was lost and made up.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers.evaluation.metrics import THRESHOLD, auc, box_size, failure_rate, finite_mean, nme_box
from handlers.evaluation.track.rows import TrackerRow
from handlers.evaluation.track.sequences import TrackedFrame, TrackedVideo, first_box
from handlers.predictors.tracking.results import FrameResult
from handlers.predictors.tracking.state import SessionState
from handlers.processing.arrays import Bools, Doubles, Floats, Ints
from handlers.processing.boxes import overlap
from handlers.processing.landmarks import bounding_box

FRAMES_A_SECOND = 25  # of the made videos and of 300-VW's
FAST = 0.02  # of the face a frame: from here on, motion tells a lag
ABSENT, HIDDEN = 0.2, 0.5  # shares of the landmarks: inside below, covered above
BACK, BARE = 0.95, 0.2  # and when it is over: inside above, covered below


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
    found: Bools
    ids: Ints
    ms: Doubles

    @property
    def counts(self) -> Bools:
        """The frames that are measured."""
        return ~np.isnan(self.errors)


def run(
    videos: Sequence[TrackedVideo],
    rows: Sequence[TrackerRow],
    done: Callable[[int], None] = lambda _: None,
) -> dict[str, list[TrackTrace]]:
    """Return traces of every row over every video; each starts from the true box of the first
    frame.

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
    """Return traces of one video."""
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
    """Return one frame's values in the order of `TrackTrace`, from `errors` to `ids`."""
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


@dataclass(frozen=True, slots=True)
class Accuracy:
    """AUC and FR at 0.08 over `frames` frames that count, mean error of those found, and the
    share where no landmarks were reported. Not a number without frames."""

    frames: int
    nme: float
    auc: float
    fr: float
    missed: float


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Figures of what users notice.

    Attributes:
        jitter: mean motion of a landmark a frame that is not the truth's, in thousandths of the
            box size, over videos of a face that holds still.
        lag: by how many frames the landmarks trail the truth where it moves fast.
        recovery: median number of frames from the end of an occlusion or absence to an error
            below 0.08; `recovered` is the share of them where that came before the video's end.
        false_faces: share of frames without the face where landmarks are reported.
        ms: median time of a step.
    """

    jitter: float
    lag: float
    recovery: float
    recovered: float
    occlusions: int
    false_faces: float
    ms: float


def accuracy(traces: Sequence[TrackTrace]) -> Accuracy:
    """Return accuracy over all frames of some traces that count."""
    errors = joined(traces, lambda trace: trace.errors[trace.counts])
    if not len(errors):
        return Accuracy(0, math.nan, math.nan, math.nan, math.nan)
    missed = 1 - float(np.isfinite(errors).mean())
    return Accuracy(len(errors), finite_mean(errors), auc(errors), failure_rate(errors), missed)


def success(traces: Sequence[TrackTrace]) -> tuple[Doubles, Doubles]:
    """Return one-pass evaluation (section 2.4.2): thresholds of overlap, share of frames above
    each."""
    overlaps = joined(traces, lambda trace: trace.overlaps[trace.counts])
    thresholds = np.linspace(0, 1, 101)
    return thresholds, np.array([(overlaps > t).mean() for t in thresholds])


def success_auc(traces: Sequence[TrackTrace]) -> float:
    """Return the area under the success curve, exactly: the mean overlap."""
    return finite_mean(joined(traces, lambda trace: trace.overlaps[trace.counts]))


def behaviour(traces: Sequence[TrackTrace], still_group: str = "still") -> Behaviour:
    """Return jitter over the videos of `still_group`, everything else over all."""
    episodes = [episode for trace in traces for episode in recoveries(trace)]
    over = [frames for frames in episodes if frames is not None]
    absent = joined(traces, lambda trace: trace.found[trace.inside < ABSENT].astype(np.float64))
    return Behaviour(
        jitter=jitter([trace for trace in traces if trace.group == still_group]),
        lag=lag(traces),
        recovery=float(np.median(over)) if over else math.nan,
        recovered=len(over) / len(episodes) if episodes else math.nan,
        occlusions=len(episodes),
        false_faces=finite_mean(absent),
        ms=float(np.median(joined(traces, lambda trace: trace.ms))),
    )


def jitter(traces: Sequence[TrackTrace]) -> float:
    """Return the mean motion a frame beyond the truth's, in thousandths of the box size."""

    def beyond(trace: TrackTrace) -> Doubles:
        off = (trace.points - trace.truth) / trace.sizes[:, None, None]
        return np.asarray(np.linalg.norm(np.diff(off, axis=0), axis=-1).ravel(), np.float64)

    return finite_mean(joined(traces, beyond)) * 1000


def lag(traces: Sequence[TrackTrace]) -> float:
    """Return frames that the landmarks' middle trails the truth's, where that moves fast.

    The offset along the motion, over the motion of a frame: least squares over all such frames.
    """
    behind, travelled = 0.0, 0.0
    for trace in traces:
        motion = np.diff(trace.truth.mean(axis=1), axis=0)
        off = (trace.truth - trace.points).mean(axis=1)[1:]
        fast = np.linalg.norm(motion, axis=1) > FAST * trace.sizes[1:]
        fast &= np.isfinite(off).all(axis=1) & trace.counts[1:]
        fast &= trace.errors[1:] < THRESHOLD
        behind += float((off[fast] * motion[fast]).sum())
        travelled += float((motion[fast] ** 2).sum())
    return behind / travelled if travelled else math.nan


def recoveries(trace: TrackTrace) -> list[int | None]:
    """Return, for every occlusion or absence that ends, the frames until the face is tracked again.

    None where the video ends, or the next one begins, before that.
    """
    found: list[int | None] = []
    hidden, since = False, None
    for frame in range(len(trace.errors)):
        if trace.covered[frame] > HIDDEN or trace.inside[frame] < ABSENT:
            if since is not None:
                found.append(None)
            hidden, since = True, None
        elif hidden and trace.covered[frame] < BARE and trace.inside[frame] > BACK:
            hidden, since = False, frame
        if since is not None and trace.errors[frame] < THRESHOLD:
            found.append(frame - since)
            since = None
    return found + ([None] if since is not None else [])


def joined(
    traces: Sequence[TrackTrace], part: Callable[[TrackTrace], NDArray[np.floating]]
) -> Doubles:
    """Return one array of a part of every trace."""
    parts = [np.asarray(part(trace), np.float64) for trace in traces]
    return np.concatenate(parts) if parts else np.empty(0)
