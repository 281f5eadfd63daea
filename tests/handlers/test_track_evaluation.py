"""The evaluation of tracking, with trackers whose errors are known beforehand."""

import io
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from handlers.evaluation.published import tracking_tables
from handlers.evaluation.track.clips import Tracklets, longest_run, run_clip
from handlers.evaluation.track.command import TrackOptions, evaluate
from handlers.evaluation.track.metrics import (
    TrackTrace,
    accuracy,
    jitter,
    lag,
    recoveries,
    run,
    success,
    success_auc,
)
from handlers.evaluation.track.report import usual_pairs
from handlers.evaluation.track.rows import ROWS, split_row
from handlers.evaluation.track.sequences import TrackedFrame, first_box, read_plan
from handlers.predictors.tracking.options import VARIANTS, TrackingOptions
from handlers.predictors.tracking.results import FrameResult, Status, TrackedFace
from handlers.predictors.tracking.state import SessionState
from handlers.processing.landmarks import bounding_box
from handlers.training.synthetic.style import Style
from tests.handlers.test_sequences import face_shape
from tests.handlers.videos import write_video

Floats = NDArray[np.float32]
FRAMES = 20


def path_of(frame: int) -> Floats:
    """Where the face is: it moves by four pixels a frame."""
    return face_shape() + np.array([4.0 * frame, 0.0], np.float32)


@dataclass(frozen=True)
class Walk:
    """A face that walks; covered in some frames, away in others."""

    name: str = "walk-0"
    group: str = "still"
    category: str = "1"
    frames: int = FRAMES
    covered: tuple[int, ...] = ()
    away: tuple[int, ...] = ()

    def __iter__(self) -> Iterator[TrackedFrame]:
        for index in range(self.frames):
            image = np.full((200, 300, 3), index, np.uint8)
            yield TrackedFrame(
                image, path_of(index), float(index not in self.away), float(index in self.covered)
            )


@dataclass
class Known:
    """Says the truth of the frame that a picture's brightness names, off by a known way."""

    shift: float = 0.0
    late: int = 0
    shake: float = 0.0
    lost: tuple[int, ...] = ()
    starts: list[Floats] = field(default_factory=list)

    def step(
        self,
        frames: Sequence[Any],
        states: Sequence[Any],
        options: Sequence[Any],
        times_s: Sequence[float | None] | None = None,
    ) -> list[tuple[FrameResult, SessionState]]:
        (frame,), (state,) = frames, states
        state = state or SessionState()
        index = int(frame[0, 0, 0])
        if index == 0 and state.faces:
            self.starts.append(state.faces[0].box)
        points = path_of(index - self.late) + self.shift
        points = (points + self.shake * (-1) ** index).astype(np.float32)
        gone = index in self.lost
        face = TrackedFace(
            1, Status.LOST if gone else Status.TRACKING, bounding_box(points),
            None if gone else points, 0.9, None,
        )  # fmt: skip
        return [(FrameResult(state.step + 1, (face,)), SessionState(state.step + 1))]


@dataclass(frozen=True)
class Row:
    name: str
    predictor: Known
    options: TrackingOptions = TrackingOptions()


def trace(tracker: Known, video: Walk | None = None) -> TrackTrace:
    return run([video or Walk()], [Row("x", tracker)])["x"][0]


def size() -> float:
    return float(np.sqrt(np.prod(np.ptp(face_shape(), axis=0))))


def test_every_tracker_starts_from_the_true_box_of_the_first_frame() -> None:
    tracker = Known()
    trace(tracker)
    np.testing.assert_allclose(tracker.starts[0], bounding_box(path_of(0)))
    np.testing.assert_allclose(first_box(Walk()), bounding_box(path_of(0)))


def test_a_known_shift_is_the_error_measured() -> None:
    found = accuracy([trace(Known(shift=0.02 * size() / math.sqrt(2)))])
    assert found.nme == pytest.approx(0.02, rel=1e-4)
    assert found.auc == pytest.approx(0.75, rel=1e-3)
    assert (found.fr, found.missed, found.frames) == (0, 0, FRAMES)


def test_lost_frames_fail_and_hidden_or_absent_ones_do_not_count() -> None:
    found = accuracy([trace(Known(lost=(3, 4)))])
    assert [found.fr, found.missed] == pytest.approx([0.1, 0.1])
    assert found.auc == pytest.approx(0.9)
    hidden = accuracy([trace(Known(lost=(3, 4)), Walk(covered=(3,), away=(4,)))])
    assert (hidden.frames, hidden.fr) == (FRAMES - 2, 0)


def test_the_success_curve_of_a_perfect_tracker_is_full_and_its_area_the_mean_overlap() -> None:
    perfect = [trace(Known())]
    thresholds, share = success(perfect)
    assert share[thresholds < 0.99].min() == 1
    assert success_auc(perfect) == pytest.approx(1)
    off = [trace(Known(shift=12.0))]
    thresholds, share = success(off)
    assert np.trapezoid(share, thresholds) == pytest.approx(success_auc(off), abs=0.01)


def test_jitter_is_motion_that_the_truth_does_not_have() -> None:
    assert jitter([trace(Known(shift=5))]) == pytest.approx(0, abs=1e-3)
    expected = 2 * math.sqrt(2) * 0.5 / size() * 1000
    assert jitter([trace(Known(shake=0.5))]) == pytest.approx(expected, rel=1e-3)


def test_lag_counts_the_frames_that_landmarks_trail() -> None:
    assert lag([trace(Known())]) == pytest.approx(0, abs=1e-4)
    assert lag([trace(Known(late=1))]) == pytest.approx(1, rel=1e-3)


def test_recovery_counts_from_the_end_of_an_occlusion() -> None:
    video = Walk(covered=(5, 6, 7), away=(12, 13))
    assert recoveries(trace(Known(), video)) == [0, 0]
    assert recoveries(trace(Known(lost=(5, 6, 7, 8, 9)), video)) == [2, 0]
    assert recoveries(trace(Known(lost=tuple(range(5, 20))), video)) == [None, None]


def test_the_fixed_list_holds_what_training_never_sees() -> None:
    plan = read_plan()
    motions = {motion for group in plan.groups for motion in group.style.motions}
    occluders = {kind for g in plan.groups if g.style.covered for kind in g.style.occluders}
    assert motions - set(Style().motions) == {"bounce"}
    assert occluders - set(Style().occluders) == {"fence"}
    assert {group.category for group in plan.groups} == {"1", "2", "3"}
    assert all("train" not in folder for folder in plan.faces)
    assert len({group.seed for group in plan.groups}) == len(plan.groups)


def test_a_misspelt_plan_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text('faces = ["a"]\nface_px = 9\ngroups = []\nsize = 1\n')
    with pytest.raises(ValueError, match="size"):
        read_plan(path)


def test_every_row_names_a_variant_that_is_served() -> None:
    assert {split_row(name)[0] for name in ROWS} <= set(VARIANTS)
    assert split_row("DCRT-16") == ("dcrt", 16)
    assert split_row("DFA-Prev") == ("dfa-prev", None)
    with pytest.raises(ValueError, match="DCRT-2"):
        split_row("DCRT")


def test_every_row_of_the_published_ablation_can_be_run_or_is_another_work() -> None:
    (ablation,) = (table for table in tracking_tables() if table.name == "4.3")
    ours = {row.method for row in ablation.rows} & set(ROWS)
    assert len(ours) == len(ablation.rows) - 3  # Yang, and CRCT and FADeNN of earlier chapters


def test_published_rates_are_fractions_and_rows_fill_their_columns() -> None:
    for table in tracking_tables():
        for row in table.rows:
            assert len(row.values) == len(table.columns), (table.name, row.method)
            assert all(0 <= value < 1 or math.isnan(value) for value in row.values)
    tables = {table.name: table for table in tracking_tables()}
    dcrt = tables["4.2"].rows[-1]
    assert dcrt.values == pytest.approx((0.822, 0.004, 0.813, 0.0003, 0.752, 0.0232))


def test_the_pairs_compared_are_those_of_the_claims() -> None:
    names = ["DCRT-4", "CRT-4", "CRT-2", "DFA-Det", "DFA-Prev"]
    expected = [("DCRT-4", other) for other in ("CRT-4", "DFA-Det", "DFA-Prev")]
    assert usual_pairs(names) == expected


def test_a_report_has_tables_files_and_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import handlers.evaluation.track.command as track

    videos = [Walk(), Walk(name="dark-0", group="dark", category="2")]
    monkeypatch.setattr(track, "find_videos", lambda options: videos)
    rows = [Row("DCRT-4", Known(shift=1)), Row("CRT-4", Known(shift=3, lost=(2,)))]
    said = io.StringIO()
    options = TrackOptions(None, out=tmp_path / "out", videos=True)
    report = evaluate(options, rows, None, {"bt-4": "0" * 64}, Console(file=said, width=200))
    text = " ".join(said.getvalue().split())
    for name in ("2.1", "2.2", "2.3", "3.1", "4.2", "4.3"):
        assert f"Table {name} of the thesis" in text
    assert report.rows[0].categories["all"].frames == 2 * FRAMES
    dark = next(c for c in report.comparisons if c.videos == "blur and darkness")
    assert dark.interval.difference > 0
    content = json.loads((tmp_path / "out" / "report.json").read_text())
    assert content["published"][0]["mark"] == "not comparable"
    assert content["results"][1]["categories"]["1"]["missed"] == pytest.approx(0.05)
    lines = (tmp_path / "out" / "frames.csv").read_text().splitlines()
    assert len(lines) == 1 + 4 * FRAMES
    for file in ("errors.png", "success.png", "walk-0.png", "dark-0.png"):
        assert cv2.imread(str(tmp_path / "out" / file)) is not None
    assert cv2.VideoCapture(str(tmp_path / "out" / "walk-0.mp4")).read()[0]


@dataclass(frozen=True)
class Face:
    track_id: int
    box: Floats
    landmarks: Floats | None


def face(ident: int, x: float, lost: bool = False) -> Face:
    box = np.array([x, 0, x + 10, 10], np.float32)
    return Face(ident, box, None if lost else face_shape())


def test_identities_are_counted_against_tracklets_of_detections() -> None:
    tracklets = Tracklets()
    boxes = [face(0, 0).box, face(0, 50).box]
    tracklets.add(boxes, [face(1, 0), face(2, 50)])
    tracklets.add(boxes, [face(1, 0), face(2, 50, lost=True)])
    assert tracklets.switches == 0
    tracklets.add([boxes[1]], [face(2, 50)])  # one detection is missing
    tracklets.add(boxes, [face(2, 0), face(1, 50)])
    assert tracklets.switches == 2
    for _ in range(6):
        tracklets.add([], [])
    tracklets.add(boxes, [face(7, 0), face(8, 50)])  # nobody's continuation
    assert tracklets.switches == 2


def test_a_clip_tells_what_was_lost_and_for_how_long(tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    frames = (np.full((200, 300, 3), index, np.uint8) for index in range(FRAMES))
    write_video(path, frames, 10.0, "FFV1")
    found = run_clip(path, Row("x", Known(lost=(0, 4, 5, 6))), video=tmp_path / "seen.mp4")
    assert (found.frames, found.first, found.lost, found.longest_lost) == (FRAMES, 1, 4, 3)
    assert (found.followed, found.searching, found.faces, found.switches) == (16, 0, 1, None)
    assert cv2.VideoCapture(str(tmp_path / "seen.mp4")).read()[0]
    assert longest_run(["a", "b", "b", "a", "b"], "b") == 2
