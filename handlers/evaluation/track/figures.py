"""Traces to pictures: error and success curves, sheets and videos with landmarks to look at."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from handlers.evaluation.metrics import THRESHOLD, auc, cumulative_errors
from handlers.evaluation.output import GREEN, RED, caption, dots
from handlers.evaluation.track.metrics import TrackTrace, joined, success, success_auc
from handlers.evaluation.track.sequences import FPS, TrackedVideo
from handlers.predictors.tracking.results import TrackedFace
from handlers.processing.arrays import Image

GREY = (150, 150, 150)
COLORS = (GREEN, (255, 170, 0), (0, 170, 255), (255, 80, 200), (160, 255, 60), (120, 120, 255))
SHEET_FRAMES, SHEET_PX = 8, 320


def write_figures(
    traces: Mapping[str, Sequence[TrackTrace]],
    videos: Sequence[TrackedVideo],
    out: Path,
    whole: bool,
) -> None:
    """Write curves by category (Figures 2.3, 2.4, 4.7, 4.9), and a sheet of every video by the
    first tracker; with `whole` also that video."""
    _panels(traces, out / "errors.png", _error_curve, (0, THRESHOLD), "error over the box size")
    _panels(traces, out / "success.png", _success_curve, (0, 1), "overlap with the true box")
    for video, trace in zip(videos, next(iter(traces.values())), strict=True):
        write_sheet(video, trace, out / f"{video.name}.png")
        if whole:
            write_video(video, trace, out / f"{video.name}.mp4")


def _error_curve(axes: Any, name: str, traces: Sequence[TrackTrace]) -> None:
    errors = joined(traces, lambda trace: trace.errors[trace.counts])
    axes.step(*cumulative_errors(errors), where="post", label=f"{name}  {auc(errors):.3f}")


def _success_curve(axes: Any, name: str, traces: Sequence[TrackTrace]) -> None:
    axes.plot(*success(traces), label=f"{name}  {success_auc(traces):.3f}")


def _panels(
    traces: Mapping[str, Sequence[TrackTrace]],
    path: Path,
    curve: Callable[[Any, str, Sequence[TrackTrace]], None],
    limits: tuple[float, float],
    label: str,
) -> None:
    from matplotlib.figure import Figure

    categories = sorted({trace.category for part in traces.values() for trace in part})
    figure = Figure(figsize=(5 * (len(categories) + 1), 4.6), layout="constrained")
    panels = figure.subplots(1, len(categories) + 1, squeeze=False)[0]
    for axes, category in zip(panels, [*categories, None], strict=True):
        for name, part in traces.items():
            wanted = [trace for trace in part if category in (None, trace.category)]
            if any(trace.counts.any() for trace in wanted):
                curve(axes, name, wanted)
        axes.set(title=f"category {category}" if category else "all", xlim=limits, ylim=(0, 1))
        axes.set(xlabel=label, ylabel="fraction of the frames")
        axes.grid(alpha=0.3)
        axes.legend(title="AUC", fontsize="x-small")
    figure.savefig(path, dpi=100)


def write_sheet(video: TrackedVideo, trace: TrackTrace, path: Path) -> None:
    """Write frames at even distances with truth (red) and landmarks (green) as one PNG."""
    wanted = set(np.linspace(0, len(trace.errors) - 1, SHEET_FRAMES).astype(int).tolist())
    tiles: list[Image] = []
    for index, frame in enumerate(video):
        if index in wanted:
            image = draw_truth(frame.image, trace, index)
            # Pictures of a folder may differ in shape: the first one's is that of all tiles.
            height = len(tiles[0]) if tiles else round(SHEET_PX * len(image) / image.shape[1])
            resized = cv2.resize(image, (SHEET_PX, height), interpolation=cv2.INTER_AREA)
            tiles.append(np.asarray(resized, np.uint8))
    rows = [np.hstack(tiles[i : i + 4]) for i in range(0, len(tiles) - len(tiles) % 4, 4)]
    cv2.imwrite(str(path), np.vstack(rows or [np.hstack(tiles)])[..., ::-1])


def write_video(video: TrackedVideo, trace: TrackTrace, path: Path) -> None:
    """Write the whole video with truth (red) and landmarks (green) as an MP4."""
    writer = None
    for index, frame in enumerate(video):
        writer = writer or open_writer(path, frame.image.shape, FPS)
        writer.write(draw_truth(frame.image, trace, index)[..., ::-1])
    if writer is not None:
        writer.release()


def draw_truth(image: Image, trace: TrackTrace, index: int) -> Image:
    """Return a copy of a frame with the true landmarks, those found, and the error in words."""
    image = image.copy()
    dots(image, trace.truth[index], RED)
    dots(image, trace.points[index], GREEN)
    error = trace.errors[index]
    said = "does not count" if np.isnan(error) else f"{error:.3f}"
    caption(image, f"{trace.video} {index}: {'lost' if np.isinf(error) else said}", (6, 18))
    return image


def draw_faces(image: Image, faces: Iterable[TrackedFace]) -> Image:
    """Return a copy of a frame with every face's box, number and landmarks; lost ones in grey."""
    image = image.copy()
    for face in faces:
        color = GREY if face.landmarks is None else COLORS[face.track_id % len(COLORS)]
        x1, y1, x2, y2 = (round(float(value)) for value in face.box)
        cv2.rectangle(image, (x1, y1), (x2, y2), color, 1)
        caption(image, str(face.track_id), (x1, y1 - 4))
        if face.landmarks is not None:
            dots(image, face.landmarks, color)
    return image


def open_writer(path: Path, shape: Sequence[int], fps: float) -> cv2.VideoWriter:
    """Open an MP4 for frames `(H, W, 3)` BGR. Raises ValueError where none can be written."""
    fourcc = cv2.VideoWriter.fourcc(*"mp4v")
    writer = cv2.VideoWriter(str(path), fourcc, fps, (shape[1], shape[0]))
    if not writer.isOpened():
        raise ValueError(f"{path}: no video can be written there")
    return writer
