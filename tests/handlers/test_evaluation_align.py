"""The evaluation of alignment, with predictors whose errors are known beforehand."""

from pathlib import Path

import numpy as np
import pytest

from handlers.checkpoint import CheckpointError, save_checkpoint
from handlers.evaluation.align.command import (
    AlignEvaluationOptions,
    choose_pairs,
    evaluate_align,
    stored_models,
)
from handlers.evaluation.align.running import (
    CLEAN,
    RESIZED,
    SWEEP,
    Boxes,
    Case,
    Condition,
    best_match,
    run,
)
from handlers.evaluation.output import spread
from handlers.networks.denoiser import AlignmentNetwork
from handlers.processing.landmarks import bounding_box
from handlers.training.datasets.folders import read_folder
from tests.handlers.evaluation_fakes import (
    FACES,
    BrightFaceDetector,
    Image,
    ShiftedAligner,
    report_on,
    write_faces,
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_faces(tmp_path / "faces")


def test_a_perfect_model_has_no_error_and_a_shifted_one_its_shift(data: Path) -> None:
    models = {"dfa": ShiftedAligner(), "fle": ShiftedAligner(0.02), "far": ShiftedAligner(0.09)}
    report, _ = report_on(AlignEvaluationOptions(data), models, None)
    perfect, shifted, far = (report.row(name, CLEAN) for name in models)
    assert (perfect.box.nme, perfect.box.auc, perfect.box.fr) == pytest.approx((0, 1, 0), abs=1e-5)
    assert (shifted.box.nme, shifted.box.auc, shifted.box.fr) == pytest.approx(
        (0.02, 0.75, 0), abs=1e-5
    )
    assert (far.box.auc, far.box.fr, far.missed) == (0, 1, 0)
    assert shifted.eyes.nme != pytest.approx(shifted.box.nme)


def test_a_missed_face_is_a_failure_but_not_in_the_mean_error(data: Path) -> None:
    options = AlignEvaluationOptions(data, detector=True)
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
    report, _ = report_on(AlignEvaluationOptions(data), {"nan": ShiftedAligner(float("nan"))}, None)
    assert report.row("nan", CLEAN).missed == FACES


def test_unknown_models_pairs_and_pictures_are_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot compare 'san'"):
        choose_pairs([("dfa", "san")], ["dfa", "fle"])
    with pytest.raises(ValueError, match="holds none of dfa"):
        stored_models(tmp_path)
    (data / "face_0.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"face_0\.png: no picture"):
        report_on(AlignEvaluationOptions(data), {"dfa": ShiftedAligner()}, None)


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
    report = evaluate_align(AlignEvaluationOptions(data, tmp_path / "store"))
    assert report.weights == {"fle": saved.sha256}
    assert np.isfinite(report.row("fle", CLEAN).box.nme)
    assert "true box" in capsys.readouterr().out
    with pytest.raises(CheckpointError):
        evaluate_align(AlignEvaluationOptions(data, tmp_path / "store", models=("dfa",)))
