"""What an evaluation of alignment prints and keeps: tables, files, a sheet, recorded figures."""

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from handlers.checkpoint import load_checkpoint, save_checkpoint
from handlers.evaluation.align.command import AlignEvaluationOptions, record_figures
from handlers.evaluation.align.running import SWEEP
from tests.handlers.evaluation_fakes import (
    FACES,
    BrightFaceDetector,
    ShiftedAligner,
    report_on,
    write_faces,
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_faces(tmp_path / "faces")


def test_the_better_model_is_named_only_where_the_interval_excludes_zero(data: Path) -> None:
    models = {
        "dfa": ShiftedAligner(0.01),
        "fle": ShiftedAligner(0.02),
        "twin": ShiftedAligner(0.01),
    }
    pairs = (("dfa", "fle"), ("fle", "dfa"), ("dfa", "twin"))
    report, text = report_on(AlignEvaluationOptions(data, pairs=pairs), models, None)
    assert [c.verdict for c in report.comparisons] == ["dfa", "dfa", "neither"]
    assert report.comparisons[0].interval.difference == pytest.approx(0.125, abs=1e-4)
    assert "AUC of dfa minus fle" in text


def test_a_sweep_prints_the_tables_of_the_thesis_with_its_rows_marked(data: Path) -> None:
    models = {"fadenn-m": ShiftedAligner(0.01), "fll-augmented": ShiftedAligner(0.02)}
    options = AlignEvaluationOptions(data, sweep=True, detector=True, limit=2)
    report, text = report_on(options, models, BrightFaceDetector(320))
    for name in ("4.1", "B.1", "B.2", "B.3", "B.4", "B.5"):
        assert f"Table {name} of the thesis" in " ".join(text.split())
    assert "motion blur" in text
    assert "300-W, published" in text
    assert "Published rows: not comparable" in text
    assert "FADeNN-M" in text
    assert len(report.rows) == (1 + len(SWEEP)) * 4
    assert "…" not in text, "a column does not fit a terminal of 80"


def test_without_a_sweep_only_the_clean_tables_are_printed(data: Path) -> None:
    _, text = report_on(AlignEvaluationOptions(data), {"dfa": ShiftedAligner()}, None)
    assert "Table 4.1 of" in text
    assert "Table B.1 of" not in text
    assert "motion" not in text


@pytest.mark.slow
def test_the_files_of_a_run_hold_every_figure(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    options = AlignEvaluationOptions(data, out=out, detector=True, worst=3)
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
    assert "Table 4.1 of" in (out / "report.txt").read_text()
    for name in ("curves-truth", "curves-detector", "worst-dfa-truth", "worst-fle-detector"):
        assert cv2.imread(str(out / f"{name}.png")) is not None


def test_the_sheet_shows_truth_in_red_and_the_prediction_in_green(
    data: Path, tmp_path: Path
) -> None:
    options = AlignEvaluationOptions(data, out=tmp_path, worst=1)
    report_on(options, {"dfa": ShiftedAligner(0.1)}, None)
    sheet = cv2.imread(str(tmp_path / "worst-dfa-truth.png"))
    _, green, red = cv2.split(np.asarray(sheet, np.int32))
    reds, greens = (red - green > 100).nonzero()[1], (green - red > 100).nonzero()[1]
    assert len(reds) > 50
    assert len(greens) > 50
    # A tile shows 1.5 boxes in 200 pixels: a tenth of the box is 13 of them to the right.
    assert np.median(greens) - np.median(reds) == pytest.approx(13, abs=6)


def test_recorded_figures_stand_in_the_models_configuration_beside_earlier_ones(
    data: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    earlier = {"figures": {"other/set": {"faces": 1}}}
    save_checkpoint(store / "fle", "fle", "1", earlier, {"weight": torch.ones(1)})
    report, _ = report_on(AlignEvaluationOptions(data), {"fle": ShiftedAligner(0.02)}, None)
    record_figures(report, store)
    figures = load_checkpoint(store / "fle").config["figures"]
    assert figures["other/set"] == {"faces": 1}
    measured = figures[report.data]
    assert measured["faces"] == FACES
    assert measured["auc"]["truth"]["clean"] == pytest.approx(0.75, abs=1e-3)
