"""The trackers of the thesis that are parts of Algorithm 2: which networks each asks, and when."""

import pytest

from handlers.predictors.tracking.options import VARIANTS, BoxSource, TrackingOptions, Variant
from tests.handlers.tracking_fakes import STILL, Run, box


def test_without_a_landmark_network_fv_is_asked_once() -> None:
    run = Run(probabilities={1: 0.1}, options=TrackingOptions(Variant(aligns=False)))
    run.networks.second_probabilities = {1: 0.8}
    assert run.statuses([0, 1]) == ["tracking", "lost"]
    assert run.aligner.calls == []


@pytest.mark.parametrize(("name", "denoised"), [("dcrt", True), ("crt", False), ("crct", False)])
def test_trackers_with_bt_differ_by_the_denoiser(name: str, denoised: bool) -> None:
    run = Run(options=TrackingOptions(VARIANTS[name][1]))
    run.frames([0])
    assert [denoise for _, _, denoise in run.aligner.calls] == [denoised]
    assert len(run.networks.asked) == 1


def test_bt_alone_has_its_own_landmarks() -> None:
    run = Run(options=TrackingOptions(VARIANTS["bt"][1]), start=STILL)
    (result,) = run.frames([0])
    assert run.aligner.calls == []
    assert result.faces[0].box.tolist() == STILL.tolist()


@pytest.mark.parametrize(("name", "denoised"), [("dfa-det", True), ("fll-mt", False)])
def test_tracking_by_detection_detects_every_frame_and_asks_neither_bt_nor_fv(
    name: str, denoised: bool
) -> None:
    run = Run({0: [STILL], 2: [STILL]}, options=TrackingOptions(VARIANTS[name][1]))
    results = run.frames([0, 1, 2])
    assert [result.status.value for result in results] == ["tracking", "lost", "redetected"]
    assert run.detector.calls == [[0], [1], [2]]
    assert run.networks.asked == []
    assert run.aligner.calls[0] == (0, STILL.tolist(), denoised)
    assert results[0].faces[0].face_probability is None


def test_tracking_from_the_previous_box_detects_once() -> None:
    run = Run({0: [STILL]}, options=TrackingOptions(VARIANTS["dfa-prev"][1]))
    run.aligner.shift = 4
    run.frames([0, 1, 2])
    assert run.detector.calls == [[0]]
    assert run.networks.asked == []
    assert [inside for _, inside, _ in run.aligner.calls] == [
        box(100 + 4 * number, 100).tolist() for number in range(3)
    ]


@pytest.mark.parametrize(
    ("name", "looks"), [("dcrt", [1, 1]), ("dfa-det", [2, 2]), ("dfa-prev", [2, 1])]
)
def test_a_detectors_box_is_looked_at_twice_and_the_trackers_once(
    name: str, looks: list[int]
) -> None:
    run = Run(options=TrackingOptions(VARIANTS[name][1]))
    run.frames([0, 1])
    assert run.aligner.looks == looks


def test_model_free_tracking_checks_the_aligned_landmarks() -> None:
    run = Run(probabilities={1: 0.2}, options=TrackingOptions(VARIANTS["fadenn-m-t"][1]))
    assert run.statuses([0, 1, 2]) == ["tracking", "lost", "redetected"]
    assert run.detector.calls == [[0], [2]]
    assert [number for number, _, _ in run.aligner.calls] == [0, 1, 2]


def test_a_variant_without_landmarks_is_refused() -> None:
    with pytest.raises(ValueError, match="aligns is False"):
        Variant(BoxSource.DETECTOR, aligns=False)
