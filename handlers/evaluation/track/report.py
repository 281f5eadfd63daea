"""Traces to the figures that are reported, and those to JSON and CSV."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from handlers.evaluation.metrics import THRESHOLD, Interval, paired_bootstrap
from handlers.evaluation.output import write_csv, write_json
from handlers.evaluation.published import PublishedTracking
from handlers.evaluation.track.clips import ClipResult
from handlers.evaluation.track.metrics import (
    Accuracy,
    Behaviour,
    TrackTrace,
    accuracy,
    behaviour,
    success_auc,
)

ALL = "all"
BLUR_AND_DARKNESS = ("blurred", "dark")
Traces = Mapping[str, Sequence[TrackTrace]]


@dataclass(frozen=True, slots=True)
class RowFigures:
    """One tracker: accuracy by category and by kind of video, `all` among both, the area under
    the success curve of its boxes by category, and how it behaves."""

    name: str
    categories: Mapping[str, Accuracy]
    groups: Mapping[str, Accuracy]
    rigid: Mapping[str, float]
    behaviour: Behaviour


@dataclass(frozen=True, slots=True)
class TrackComparison:
    """AUC of `first` minus that of `second` on the same frames of `videos`; whole videos drawn."""

    first: str
    second: str
    videos: str
    interval: Interval
    fr_difference: float


@dataclass(frozen=True, slots=True)
class TrackReport:
    """Figures of one run. `weights` are the SHA-256 of every part's weights."""

    data: str
    videos: int
    frames: int
    weights: Mapping[str, str]
    rows: tuple[RowFigures, ...]
    comparisons: tuple[TrackComparison, ...]
    clips: tuple[ClipResult, ...]
    published: tuple[PublishedTracking, ...]

    def row(self, name: str) -> RowFigures:
        """The figures of one tracker. Raises KeyError if it was not run."""
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(name)


def figures(name: str, traces: Sequence[TrackTrace]) -> RowFigures:
    """The figures of one tracker's traces."""

    def by(key: str) -> dict[str, list[TrackTrace]]:
        parts: dict[str, list[TrackTrace]] = {}
        for trace in traces:
            parts.setdefault(str(getattr(trace, key)), []).append(trace)
        return {**dict(sorted(parts.items())), ALL: list(traces)}

    categories = by("category")
    return RowFigures(
        name,
        {key: accuracy(part) for key, part in categories.items()},
        {key: accuracy(part) for key, part in by("group").items()},
        {key: success_auc(part) for key, part in categories.items()},
        behaviour(traces),
    )


def usual_pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    """Every DCRT against what it is to beat: CRT of its window, DFA-Det and DFA-Prev."""
    found = [name for name in names if name.startswith("DCRT-")]
    return [
        (name, other)
        for name in found
        for other in (name.removeprefix("D"), "DFA-Det", "DFA-Prev")
        if other in names
    ]


def compare(traces: Traces, seed: int = 0) -> tuple[TrackComparison, ...]:
    """Paired bootstrap of the usual pairs, over all videos and over the blurred and dark ones."""
    found = []
    for first, second in usual_pairs(list(traces)):
        for name, groups in ((ALL, None), ("blur and darkness", BLUR_AND_DARKNESS)):
            pairs = [
                (a, b)
                for a, b in zip(traces[first], traces[second], strict=True)
                if groups is None or a.group in groups
            ]
            if pairs:
                found.append(_compare(first, second, name, pairs, seed))
    return tuple(found)


def _compare(
    first: str, second: str, name: str, pairs: Sequence[tuple[TrackTrace, TrackTrace]], seed: int
) -> TrackComparison:
    one, other = (
        np.concatenate([pair[i].errors[pair[0].counts] for pair in pairs]) for i in (0, 1)
    )
    videos = [pair[0].video for pair in pairs for _ in range(int(pair[0].counts.sum()))]
    fr = float((one > THRESHOLD).mean() - (other > THRESHOLD).mean())
    return TrackComparison(first, second, name, paired_bootstrap(one, other, videos, seed=seed), fr)


def write_report(report: TrackReport, path: Path) -> None:
    """Write the whole report as JSON; what has no value is null."""
    content = {
        "data": report.data,
        "videos": report.videos,
        "frames": report.frames,
        "threshold": THRESHOLD,
        "weights_sha256": report.weights,
        "results": report.rows,
        "comparisons": report.comparisons,
        "clips": report.clips,
        "published": report.published,
    }
    write_json(content, path)


def write_frames_csv(traces: Traces, path: Path) -> None:
    """Write one line a tracker and frame that counts; a missed face has no error."""
    lines = [
        {
            "tracker": name,
            "video": trace.video,
            "group": trace.group,
            "category": trace.category,
            "frame": frame,
            "nme_box": round(float(trace.errors[frame]), 5),
            "overlap": round(float(trace.overlaps[frame]), 4),
        }
        for name, part in traces.items()
        for trace in part
        for frame in np.flatnonzero(trace.counts).tolist()
    ]
    write_csv(path, lines)
