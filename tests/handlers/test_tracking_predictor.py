"""The tracker with real, tiny networks: its numbers depend on frame and state, on nothing else."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from handlers.checkpoint import save_checkpoint
from handlers.engines.parts import TrackingModules, tracking_parts
from handlers.engines.torch_engine import TorchEngine
from handlers.networks.box_tracker import REGION_POINTS, BoxTracker, FaceValidator
from handlers.predictors.tracking.networks import TrackingNetworks, View
from handlers.predictors.tracking.options import TrackingOptions, TrackingSettings
from handlers.predictors.tracking.predictor import TrackingPredictor
from handlers.predictors.tracking.results import FrameResult
from handlers.predictors.tracking.state import SCHEMA, OneEuro, SessionState
from handlers.store import load_tracking
from handlers.wire import dump_state, load_state
from tests.handlers.tracking_fakes import (
    GRID,
    Faces,
    ScriptedAligner,
    ScriptedDetector,
    ScriptedNetworks,
    box,
    numbered,
)

Image = NDArray[np.uint8]

SETTINGS = TrackingSettings(2.0, 1.3, t_b=1.0, t_c=0.0, seq_bt=3, patience=5)
TWO: Faces = {number: [box(80, 80), box(220, 120)] for number in range(100)}
SMOOTHED = TrackingOptions(max_faces=2, smoothing=OneEuro())
PLAIN = TrackingOptions()


class NudgingAligner(ScriptedAligner):
    """Moves the box a little, by what is to be seen in its middle."""

    def align(
        self, images: Sequence[Image], boxes: Any, denoise: bool, looks: int, rolls: Any = None
    ) -> Any:
        if rolls is not None:
            return super().align(images, boxes, denoise, looks, rolls)
        answers = []
        for image, inside in zip(images, boxes, strict=True):
            x, y = ((inside[0, :2] + inside[0, 2:]) / 2).astype(int) % (image.shape[1::-1])
            self.shift = float(image[y, x, 0]) / 128 - 1
            answers += super().align([image], [inside], denoise, looks)
        return answers


def tracking_engine(tracker: BoxTracker, validator: FaceValidator) -> TorchEngine:
    modules = TrackingModules(tracker, validator)
    return TorchEngine(modules, tracking_parts(modules))


@pytest.fixture
def predictor() -> TrackingPredictor:
    """A tracker whose landmarks fill half the crop, as those of a face at context 2 do."""
    torch.manual_seed(0)
    tracker = BoxTracker("tiny")
    at = torch.from_numpy(GRID).float() - 0.5
    biases = {}
    for name, size in REGION_POINTS.items():
        biases[f"heads.{name}.bias"], at = at[:size].flatten(), at[size:]
    tracker.load_state_dict({**tracker.state_dict(), **biases})
    engine = tracking_engine(tracker, FaceValidator())
    networks = TrackingNetworks(engine, engine, (2.0, 1.3))
    return TrackingPredictor(networks, ScriptedDetector(TWO), NudgingAligner(), SETTINGS)


def clip(seed: int, frames: int = 7) -> list[Image]:
    """Noise that drifts before a wall that does not, numbered for the detector."""
    rng = np.random.default_rng(seed)
    wall = np.linspace(0, 127, 320).astype(np.uint8)[None, :, None]
    noise = rng.integers(0, 128, (240, 320, 3), np.uint8)
    images = [np.roll(noise, 2 * index, axis=1) + wall for index in range(frames)]
    for index, image in enumerate(images):
        image[0, 0] = numbered(index)[0, 0]
    return images


def track(
    predictor: TrackingPredictor,
    frames: Sequence[Image],
    options: TrackingOptions,
    state: SessionState | None = None,
    first: int = 0,
) -> tuple[list[FrameResult], SessionState]:
    results = []
    for index, frame in enumerate(frames, start=first):
        ((result, state),) = predictor.step([frame], [state], [options], [index / 25])
        results.append(result)
    assert state is not None
    return results, state


def numbers(results: Sequence[FrameResult]) -> list[list[dict[str, Any]]]:
    """Results as plain numbers, for comparison."""
    return [
        [
            {
                "id": face.track_id,
                "status": face.status.value,
                "box": face.box,
                "probability": face.face_probability,
                "landmarks": np.zeros(0) if face.landmarks is None else face.landmarks,
            }
            for face in result.faces
        ]
        for result in results
    ]


def assert_same(found: Sequence[FrameResult], expected: Sequence[FrameResult]) -> None:
    assert [result.step for result in found] == [result.step for result in expected]
    for one, other in zip(numbers(found), numbers(expected), strict=True):
        assert len(one) == len(other)
        for left, right in zip(one, other, strict=True):
            assert (left["id"], left["status"]) == (right["id"], right["status"])
            names = ("box", "landmarks", "probability")
            torch.testing.assert_close(
                [left[name] for name in names],
                [right[name] for name in names],
                rtol=1e-4,
                atol=2e-3,
            )


def test_two_interleaved_sessions_equal_two_separate_ones(predictor: TrackingPredictor) -> None:
    one, two = clip(1), clip(2)
    alone_one, _ = track(predictor, one, PLAIN)
    alone_two, _ = track(predictor, two, SMOOTHED)
    together: list[list[FrameResult]] = [[], []]
    states: list[SessionState | None] = [None, None]
    for index, frames in enumerate(zip(one, two, strict=True)):
        answers = predictor.step(frames, states, [PLAIN, SMOOTHED], [index / 25] * 2)
        states = [state for _, state in answers]
        for results, (result, _) in zip(together, answers, strict=True):
            results.append(result)
    assert_same(together[0], alone_one)
    assert_same(together[1], alone_two)


def test_rows_of_a_batch_are_independent(predictor: TrackingPredictor) -> None:
    frames = [clip(seed, 1)[0] for seed in range(3)]
    together = predictor.step(frames, [None] * 3, [PLAIN] * 3)
    for row in range(3):
        ((alone, _),) = predictor.step([frames[row]], [None], [PLAIN])
        assert_same([together[row][0]], [alone])


def test_stop_store_resume_equals_running_through(predictor: TrackingPredictor) -> None:
    frames = clip(3)
    through, _ = track(predictor, frames, SMOOTHED)
    for stop in (1, 4):
        first, state = track(predictor, frames[:stop], SMOOTHED)
        blob = dump_state(state.to_tensors(), "dcrt", "aa", SCHEMA, state.step)
        resumed = SessionState.from_tensors(*load_state(blob, "dcrt", "aa", SCHEMA))
        rest, _ = track(predictor, frames[stop:], SMOOTHED, resumed, first=stop)
        assert_same([*first, *rest], through)


def test_what_was_said_of_a_prefix_never_changes_later(predictor: TrackingPredictor) -> None:
    frames = clip(4)
    through, _ = track(predictor, frames, PLAIN)
    prefix, _ = track(predictor, frames[:4], PLAIN)
    assert_same(prefix, through[:4])


def test_a_step_leaves_the_given_state_alone(predictor: TrackingPredictor) -> None:
    frames = clip(5, 3)
    _, state = track(predictor, frames[:2], SMOOTHED)
    before = {name: tensor.copy() for name, tensor in state.to_tensors().items()}
    first = predictor.step([frames[2]], [state], [SMOOTHED], [0.1])[0][0]
    again = predictor.step([frames[2]], [state], [SMOOTHED], [0.1])[0][0]
    assert_same([again], [first])
    for name, tensor in state.to_tensors().items():
        np.testing.assert_array_equal(tensor, before[name])


def test_the_frame_before_matters(predictor: TrackingPredictor) -> None:
    first, second, other = clip(6, 1)[0], clip(6, 2)[1], clip(7, 1)[0]
    _, state = track(predictor, [first], PLAIN)
    _, elsewhere = track(predictor, [other], PLAIN)
    ((one, _),) = predictor.step([second], [state], [PLAIN])
    ((two, _),) = predictor.step([second], [elsewhere], [PLAIN])
    assert not np.allclose(one.faces[0].box, two.faces[0].box, atol=1e-4)


def test_the_kept_features_are_those_of_the_frame_at_its_final_box(
    predictor: TrackingPredictor,
) -> None:
    frames = clip(8, 3)
    results, state = track(predictor, frames, PLAIN)
    memory = state.faces[0].memory
    assert memory is not None
    expected = predictor.networks.remember([View(frames[-1], results[-1].faces[0].box)])[0]
    np.testing.assert_allclose(memory["features"], expected, rtol=1e-5, atol=1e-6)


def test_smoothing_changes_what_is_reported_and_not_where_the_tracker_looks(
    predictor: TrackingPredictor,
) -> None:
    frames = clip(9)
    plain, plain_state = track(predictor, frames, TrackingOptions(max_faces=2))
    smooth, smooth_state = track(predictor, frames, SMOOTHED)
    reported, filtered = (results[-1].faces[0].box for results in (plain, smooth))
    assert not np.allclose(reported, filtered, atol=1e-3)
    for one, other in zip(plain_state.faces, smooth_state.faces, strict=True):
        np.testing.assert_allclose(one.box, other.box, atol=1e-4)


def test_smoothing_needs_times(predictor: TrackingPredictor) -> None:
    with pytest.raises(ValueError, match="smoothing needs the time"):
        predictor.step([numbered(0)], [None], [SMOOTHED])


def test_sessions_share_the_detector_where_they_search_for_faces_of_one_size(
    predictor: TrackingPredictor,
) -> None:
    detector = ScriptedDetector(TWO)
    predictor = TrackingPredictor(predictor.networks, detector, ScriptedAligner(), SETTINGS)
    small = TrackingOptions(min_face_px=20)
    frames = [numbered(number) for number in range(3)]
    predictor.step(frames, [None] * 3, [PLAIN, small, PLAIN])
    assert detector.calls == [[0, 2], [1]]


def test_nothing_is_asked_of_an_empty_batch(predictor: TrackingPredictor) -> None:
    assert predictor.step([], [], []) == []


def test_a_frame_tells_where_its_time_went(predictor: TrackingPredictor) -> None:
    ((result, _),) = predictor.step([clip(1, 1)[0]], [None], [PLAIN])
    assert set(result.timings_ms) == {"detect", "track", "validate", "align", "remember"}


def test_stored_weights_give_the_networks_that_were_saved(tmp_path: Path) -> None:
    torch.manual_seed(3)
    tracker, validator = BoxTracker("tiny"), FaceValidator(channels=(4, 2))
    tensors = TrackingModules(tracker, validator).state_dict()
    config = {
        "tracker": {"size": "tiny"},
        "validator": {"channels": [4, 2]},
        "tracker_context": 2.0,
        "validator_context": 1.3,
        "t_b": 1.0,
        "t_c": 0.5,
        "seq_bt": 8,
        "patience": 30,
    }
    save_checkpoint(tmp_path / "small", "small", "1", config, tensors)
    networks, _ = load_tracking(tmp_path / "small")
    crops = torch.rand(2, 3, 128, 128) * 2 - 1
    points = torch.rand(2, 68, 2) * 127
    given = {"crops": crops.numpy(), "points": points.numpy()}
    with torch.inference_mode():
        expected = tracker.eval().features(crops).numpy()
        found = networks.tracker.run("features", crops=given["crops"])["features"]
        np.testing.assert_allclose(found, expected, atol=1e-5, rtol=1e-4)
        probability = validator.probability(crops, points).numpy()
        found = networks.validator.run("validate", **given)["probability"]
        np.testing.assert_allclose(found, probability, atol=1e-5)


def test_steadying_calms_what_trembles_and_can_be_left_off() -> None:
    faces = {index: [box(100, 100)] for index in range(12)}
    networks = ScriptedNetworks(faces)
    predictor = TrackingPredictor(networks, ScriptedDetector(faces), NudgingAligner(), SETTINGS)
    rng = np.random.default_rng(5)
    frames = [numbered(index) for index in faces]
    for frame in frames:  # whose grey nudges the landmarks by a fiftieth of a pixel
        frame[1:] = rng.integers(126, 131)
    calm, _ = track(predictor, frames, PLAIN)
    plain, _ = track(predictor, frames, replace(PLAIN, steady=False))

    def motion(results: Sequence[FrameResult]) -> float:
        points = np.stack([result.faces[0].landmarks for result in results])
        return float(np.abs(np.diff(points, axis=0)).mean())

    assert 0 < motion(calm) < 0.5 * motion(plain)
