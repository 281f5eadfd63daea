"""The evaluation of alignment, with predictors whose errors are known beforehand."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from rich.console import Console

from handlers.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from handlers.evaluation.align import (
    AlignOptions,
    choose_pairs,
    evaluate,
    evaluate_align,
    spread,
)
from handlers.evaluation.conditions import CLEAN, RESIZED, SWEEP, Condition
from handlers.evaluation.loading import stored_models
from handlers.evaluation.record import record_figures
from handlers.evaluation.report import AlignReport
from handlers.evaluation.running import Boxes, Case, best_match, overlap, run
from handlers.networks.align import AlignmentNetwork
from handlers.processing.landmarks import bounding_box
from handlers.training.datasets.folders import read_folder
from handlers.training.datasets.pts import write_pts

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

FACES = 5


def unit_shape() -> Floats:
    """Landmarks that fill a box of side 1: a box and this give a whole face."""
    points = np.random.default_rng(7).uniform(0, 1, (68, 2)).astype(np.float32)
    points -= points.min(axis=0)
    return np.asarray(points / points.max(axis=0), np.float32)


@dataclass(frozen=True)
class Face:
    landmarks: Floats


@dataclass(frozen=True)
class ShiftedAligner:
    """Off by a known fraction of the box in x; remembers what it was shown."""

    shift: float = 0.0
    seen: list[Image] = field(default_factory=list)

    def align(
        self, images: Sequence[Image], boxes: Sequence[Floats], denoise: bool = True, looks: int = 1
    ) -> list[list[Face]]:
        self.seen.extend(images)
        return [[Face(self._place(box)) for box in rows] for rows in boxes]

    def _place(self, box: Floats) -> Floats:
        sides = box[2:] - box[:2]
        size = np.sqrt(sides.prod())
        return np.asarray(unit_shape() * sides + box[:2] + (self.shift * size, 0), np.float32)


@dataclass(frozen=True)
class Detected:
    landmark_box: Floats


@dataclass(frozen=True)
class BrightFaceDetector:
    """Finds the white square that stands for a face, but not in pictures of other sizes."""

    blind_to_width: int = 0

    def detect(
        self, images: Sequence[Image], min_face_px: int = 40, max_faces: int = 64
    ) -> list[list[Detected]]:
        return [[] if i.shape[1] == self.blind_to_width else self._find(i) for i in images]

    def _find(self, image: Image) -> list[Detected]:
        rows, columns = np.nonzero(image.min(axis=2) > 0.6 * image.max())
        box = np.array([columns.min(), rows.min(), columns.max(), rows.max()], np.float32)
        elsewhere = np.array([0, 0, 5, 5], np.float32)
        return [Detected(elsewhere), Detected(box)]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Black pictures of growing width, a white square where the landmarks are."""
    root = tmp_path / "faces"
    root.mkdir()
    for i in range(FACES):
        picture = np.zeros((150, 150 + 10 * i, 3), np.uint8)
        picture[40:101, 30:91] = 255
        cv2.imwrite(str(root / f"face_{i}.png"), picture)
        write_pts(root / f"face_{i}.pts", unit_shape() * 60 + np.array([30, 40], np.float32))
    return root


def report_on(
    options: AlignOptions, models: dict[str, ShiftedAligner], detector: BrightFaceDetector | None
) -> tuple[AlignReport, str]:
    out = io.StringIO()
    weights = dict.fromkeys(models, "0" * 64)
    report = evaluate(options, models, detector, weights, Console(file=out, width=80))
    return report, out.getvalue()


def test_a_perfect_model_has_no_error_and_a_shifted_one_its_shift(data: Path) -> None:
    models = {"dfa": ShiftedAligner(), "fle": ShiftedAligner(0.02), "far": ShiftedAligner(0.09)}
    report, _ = report_on(AlignOptions(data), models, None)
    perfect, shifted, far = (report.row(name, CLEAN) for name in models)
    assert (perfect.box.nme, perfect.box.auc, perfect.box.fr) == pytest.approx((0, 1, 0), abs=1e-5)
    assert (shifted.box.nme, shifted.box.auc, shifted.box.fr) == pytest.approx(
        (0.02, 0.75, 0), abs=1e-5
    )
    assert (far.box.auc, far.box.fr, far.missed) == (0, 1, 0)
    assert shifted.eyes.nme != pytest.approx(shifted.box.nme)


def test_a_missed_face_is_a_failure_but_not_in_the_mean_error(data: Path) -> None:
    options = AlignOptions(data, detector=True)
    report, _ = report_on(options, {"fle": ShiftedAligner(0.02)}, BrightFaceDetector(170))
    row = report.row("fle", CLEAN, Boxes.DETECTOR)
    assert (row.faces, row.missed) == (FACES, 1)
    assert row.box.nme == pytest.approx(0.02, abs=1e-4)
    assert row.box.fr == pytest.approx(1 / FACES)
    assert row.box.auc == pytest.approx(0.75 * (FACES - 1) / FACES, abs=1e-3)
    assert report.row("fle", CLEAN, Boxes.TRUTH).missed == 0


def test_the_detection_that_overlaps_the_face_most_is_taken_and_a_far_one_never() -> None:
    truth = np.array([0, 0, 10, 10], np.float32)
    near, nearer, far = truth + 3, truth + 1, truth + 8
    chosen = best_match([far, near, nearer], truth)
    assert chosen is nearer
    assert best_match([far], truth) is None
    assert best_match([], truth) is None
    assert overlap(truth, truth) == 1
    assert overlap(truth, truth + np.float32(5)) == pytest.approx(25 / 175)


def test_every_model_sees_the_same_pixels_of_a_face_of_128(data: Path) -> None:
    models = {"one": ShiftedAligner(), "two": ShiftedAligner()}
    run(read_folder(data).samples[:2], models, None, SWEEP)
    assert len(models["one"].seen) == len(SWEEP) * 2
    for first, second in zip(models["one"].seen, models["two"].seen, strict=True):
        np.testing.assert_array_equal(first, second)
    # 150 pixels with a face of 60 become 320 with a face of 128.
    assert models["one"].seen[0].shape == (320, 320, 3)


def test_resizing_moves_the_landmarks_with_the_picture(data: Path) -> None:
    errors = run(
        read_folder(data).samples, {"m": ShiftedAligner()}, BrightFaceDetector(), [RESIZED]
    )
    found = errors[Case("m", RESIZED, Boxes.DETECTOR)]
    # The detector reads the square's place from the resized pixels: within a pixel of 128.
    assert found.box.max() < 1.5 / 128


def test_noise_depends_on_the_seed_and_not_on_what_else_is_run(data: Path) -> None:
    noise = Condition("noise", 0.01)
    samples = read_folder(data).samples

    def seen(conditions: list[Condition], seed: int) -> Image:
        model = ShiftedAligner()
        run(samples, {"m": model}, None, conditions, batch=1, seed=seed)
        return model.seen[len(conditions) - 1]

    alone, among = seen([noise], 0), seen([CLEAN, Condition("blur", 3), noise], 0)
    np.testing.assert_array_equal(alone, among)
    assert (alone != seen([noise], 1)).any()


def test_landmarks_that_are_not_numbers_count_as_missed(data: Path) -> None:
    report, _ = report_on(AlignOptions(data), {"nan": ShiftedAligner(float("nan"))}, None)
    assert report.row("nan", CLEAN).missed == FACES


def test_the_better_model_is_named_only_where_the_interval_excludes_zero(data: Path) -> None:
    models = {
        "dfa": ShiftedAligner(0.01),
        "fle": ShiftedAligner(0.02),
        "twin": ShiftedAligner(0.01),
    }
    pairs = (("dfa", "fle"), ("fle", "dfa"), ("dfa", "twin"))
    report, text = report_on(AlignOptions(data, pairs=pairs), models, None)
    assert [c.verdict for c in report.comparisons] == ["dfa", "dfa", "neither"]
    assert report.comparisons[0].interval.difference == pytest.approx(0.125, abs=1e-4)
    assert "AUC of dfa minus fle" in text


def test_a_sweep_prints_the_tables_of_the_thesis_with_its_rows_marked(data: Path) -> None:
    models = {"fadenn-m": ShiftedAligner(0.01), "fll-augmented": ShiftedAligner(0.02)}
    options = AlignOptions(data, sweep=True, detector=True, limit=2)
    report, text = report_on(options, models, BrightFaceDetector(320))
    for name in ("4.1", "B.1", "B.2", "B.3", "B.4", "B.5"):
        assert f"As Table {name}." in text
    assert "Motion blur" in text
    assert "300-W, published" in text
    assert "Published rows: not comparable" in text
    assert "FADeNN-M" in text
    assert len(report.rows) == (1 + len(SWEEP)) * 4
    assert "…" not in text, "a column does not fit a terminal of 80"


def test_without_a_sweep_only_the_clean_tables_are_printed(data: Path) -> None:
    _, text = report_on(AlignOptions(data), {"dfa": ShiftedAligner()}, None)
    assert "As Table 4.1" in text
    assert "As Table B.1" not in text
    assert "Motion" not in text


@pytest.mark.slow
def test_the_files_of_a_run_hold_every_figure(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    options = AlignOptions(data, out=out, detector=True, worst=3)
    report_on(
        options, {"dfa": ShiftedAligner(0.03), "fle": ShiftedAligner()}, BrightFaceDetector(170)
    )
    content = json.loads((out / "report.json").read_text())
    assert content["faces"] == FACES
    assert content["weights_sha256"]["dfa"] == "0" * 64
    assert {(r["model"], r["boxes"]) for r in content["results"]} == {
        (model, boxes) for model in ("dfa", "fle") for boxes in ("truth", "detector")
    }
    assert content["published"][0]["mark"] == "not comparable"
    with (out / "faces.csv").open() as file:
        faces = list(csv.DictReader(file))
    assert len(faces) == FACES * 4
    missed = [f["picture"] for f in faces if f["boxes"] == "detector" and not f["nme_box"]]
    assert missed == ["face_2.png", "face_2.png"]
    with (out / "summary.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 4
    assert "As Table 4.1" in (out / "report.txt").read_text()
    for name in ("curves-truth", "curves-detector", "worst-dfa-truth", "worst-fle-detector"):
        assert cv2.imread(str(out / f"{name}.png")) is not None


def test_the_sheet_shows_truth_in_red_and_the_prediction_in_green(
    data: Path, tmp_path: Path
) -> None:
    options = AlignOptions(data, out=tmp_path, worst=1)
    report_on(options, {"dfa": ShiftedAligner(0.1)}, None)
    sheet = cv2.imread(str(tmp_path / "worst-dfa-truth.png"))
    _, green, red = cv2.split(np.asarray(sheet, np.int32))
    reds, greens = (red - green > 100).nonzero()[1], (green - red > 100).nonzero()[1]
    assert len(reds) > 50
    assert len(greens) > 50
    # A tile shows 1.5 boxes in 200 pixels: a tenth of the box is 13 of them to the right.
    assert np.median(greens) - np.median(reds) == pytest.approx(13, abs=6)


def test_unknown_models_pairs_and_pictures_are_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot compare 'san'"):
        choose_pairs([("dfa", "san")], ["dfa", "fle"])
    with pytest.raises(ValueError, match="holds none of dfa"):
        stored_models(tmp_path)
    (data / "face_0.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"face_0\.png: no picture"):
        report_on(AlignOptions(data), {"dfa": ShiftedAligner()}, None)


def test_usual_pairs_are_compared_unless_others_are_asked_for() -> None:
    assert choose_pairs([], ["dfa", "fle", "fadenn-m"]) == (("dfa", "fle"),)
    assert choose_pairs([], ["a", "b", "c"]) == (("a", "b"), ("a", "c"))
    assert choose_pairs([], ["a"]) == ()
    assert choose_pairs([("b", "a")], ["a", "b"]) == (("b", "a"),)


def test_a_limit_takes_faces_from_the_whole_set(data: Path) -> None:
    samples = read_folder(data).samples
    names = [sample.image_path.stem for sample in spread(samples, 2)]
    assert names == ["face_0", "face_2"]
    assert len(spread(samples, None)) == len(spread(samples, 99)) == FACES


def test_the_fake_faces_have_the_box_that_was_drawn(data: Path) -> None:
    box = bounding_box(read_folder(data).samples[0].landmarks)
    np.testing.assert_allclose(box, [30, 40, 90, 100], atol=1e-4)


def test_what_is_measured_is_loaded_from_the_store_and_named_by_its_hash(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    landmarks = {"backbone": "senet", "size": "tiny", "head": "heatmap"}
    config = {"landmarks": landmarks, "denoiser": None, "context": 1.3, "crop_px": 128}
    weights = AlignmentNetwork(landmarks).state_dict()
    saved = save_checkpoint(tmp_path / "store" / "fle", "fle", "1", config, weights)
    report = evaluate_align(AlignOptions(data, tmp_path / "store"))
    assert report.weights == {"fle": saved.sha256}
    assert np.isfinite(report.row("fle", CLEAN).box.nme)
    assert "true box" in capsys.readouterr().out
    with pytest.raises(CheckpointError):
        evaluate_align(AlignOptions(data, tmp_path / "store", models=("dfa",)))


def test_recorded_figures_stand_in_the_models_configuration_beside_earlier_ones(
    data: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    earlier = {"figures": {"other/set": {"faces": 1}}}
    save_checkpoint(store / "fle", "fle", "1", earlier, {"weight": torch.ones(1)})
    report, _ = report_on(AlignOptions(data), {"fle": ShiftedAligner(0.02)}, None)
    record_figures(report, store)
    figures = load_checkpoint(store / "fle").config["figures"]
    assert figures["other/set"] == {"faces": 1}
    measured = figures[report.data]
    assert measured["faces"] == FACES
    assert measured["auc"]["truth"]["clean"] == pytest.approx(0.75, abs=1e-3)
