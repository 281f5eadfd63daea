"""`countenance evaluate track`: the served trackers over videos with and without landmarks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from handlers.evaluation.output import progress_bar, publish
from handlers.evaluation.published import tracking_tables
from handlers.evaluation.track.clips import FULL_FACES, ClipResult, run_clip
from handlers.evaluation.track.figures import write_figures
from handlers.evaluation.track.metrics import run
from handlers.evaluation.track.report import (
    TrackReport,
    compare,
    figures,
    show,
    write_frames_csv,
    write_report,
)
from handlers.evaluation.track.rows import TrackerRow, TrackingParts
from handlers.evaluation.track.sequences import (
    TrackedVideo,
    made_videos,
    read_plan,
    recorded_videos,
)
from handlers.predictors.detection.detector import FaceDetector
from handlers.store import load_detector


@dataclass(frozen=True, slots=True)
class TrackOptions:
    """Options of an evaluation of tracking: trackers, data and outputs.

    Attributes:
        data: with `made`, the folder of faces that the fixed list of made videos names (it holds
            `helen/test` and `youtube_faces/test`); else 300-VW's folder, or one of frames with
            landmarks. None measures clips alone.
        rows: trackers by the names of `track_rows.ROWS`; none stands for all the store allows.
        groups: kinds of made videos, none for all; `limit` takes the first few of each kind.
        plan: another list of made videos than the fixed one.
        clips: video files without landmarks; up to `faces` are followed in each, and with
            `switches` their identities are checked against the detector's.
        out: where JSON, CSV and pictures go; `videos` also renders every video of the first row.
    """

    data: Path | None
    model_store: Path = Path("model_store")
    rows: tuple[str, ...] = ()
    made: bool = True
    groups: tuple[str, ...] = ()
    limit: int | None = None
    plan: Path | None = None
    clips: tuple[Path, ...] = ()
    faces: int = FULL_FACES
    switches: bool = True
    out: Path | None = None
    videos: bool = False
    device: str = "cpu"
    seed: int = 0


def evaluate_track(options: TrackOptions) -> TrackReport:
    """Load the trackers from the store, measure them, print the tables, write the files.

    Raises:
        ValueError: a row, part, folder or video that is not there or cannot be read.
    """
    parts = TrackingParts(options.model_store, options.device)
    names = options.rows or parts.rows()
    if not names:
        raise ValueError(f"{options.model_store}: holds no tracker (dcrt, or bt-2 and fv)")
    rows = [parts.follower(name) for name in names]
    detector = None
    if options.clips and options.switches:
        detector = load_detector(options.model_store, options.device)
    return evaluate(options, rows, detector, parts.weights())


def evaluate(
    options: TrackOptions,
    rows: Sequence[TrackerRow],
    detector: FaceDetector | None,
    weights: Mapping[str, str],
    console: Console | None = None,
) -> TrackReport:
    """Measure trackers that are already loaded; `weights` names the SHA-256 of their parts."""
    videos = find_videos(options)
    with progress_bar("Tracking", sum(video.frames for video in videos)) as done:
        traces = run(videos, rows, done)
    report = TrackReport(
        data=data_name(options),
        videos=len(videos),
        frames=sum(video.frames for video in videos),
        weights=weights,
        rows=tuple(figures(name, part) for name, part in traces.items() if part),
        comparisons=compare(traces, options.seed) if videos else (),
        clips=tuple(_clips(options, rows, detector)),
        published=tracking_tables(),
    )

    def write(out: Path) -> None:
        write_report(report, out / "report.json")
        if videos:
            write_frames_csv(traces, out / "frames.csv")
            write_figures(traces, videos, out, options.videos)

    publish(lambda to: show(report, to), write, options.out, console)
    return report


def find_videos(options: TrackOptions) -> Sequence[TrackedVideo]:
    """Find the videos that the options name."""
    if options.data is None:
        return []
    if options.made:
        return made_videos(read_plan(options.plan), options.data, options.groups, options.limit)
    return recorded_videos(options.data, options.limit)


def data_name(options: TrackOptions) -> str:
    """Name the data for the tables."""
    if options.data is None:
        return "clips"
    return "made videos" if options.made else options.data.resolve().name


def _clips(
    options: TrackOptions, rows: Sequence[TrackerRow], detector: FaceDetector | None
) -> list[ClipResult]:
    """Run every clip with every tracker; with an output folder each is rendered there."""
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
    results = []
    for path in options.clips:
        for row in rows:
            video = None if options.out is None else options.out / f"{path.stem}-{row.name}.mp4"
            results.append(run_clip(path, row, options.faces, detector, video))
    return results
