"""Cuts are seen, and nobody is followed across them; searches keep their pace."""

import numpy as np
import pytest

from handlers.predictors.tracking.changes import SceneThumbnail, follow, glance, scene_change
from handlers.predictors.tracking.options import TrackingOptions
from handlers.predictors.tracking.state import SessionState
from tests.handlers.tracking_fakes import FACES, STILL, Faces, Run, numbered


def room(seed: int, shift: int = 0, gain: float = 1.0) -> np.ndarray:
    """A scene of large soft patches, seen by a camera that moves by so many pixels."""
    rng = np.random.default_rng(seed)
    patches = rng.uniform(0, 200, (8, 10, 3))
    large = np.kron(patches, np.ones((40, 40, 1)))
    return np.roll(large, shift, axis=1).clip(0, 255 / gain).astype(float) * gain


def seen(*frames: np.ndarray) -> list[bool]:
    scene, cuts = None, []
    for frame in frames:
        scene, is_cut = follow(scene, frame.astype(np.uint8))
        cuts.append(is_cut)
    return cuts


def test_another_scene_is_a_cut_and_the_next_frame_of_it_is_none() -> None:
    assert seen(room(1), room(1), room(2), room(2)) == [False, False, True, False]


def test_black_and_noise_are_cuts() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (320, 400, 3))
    assert seen(room(1), np.zeros((320, 400, 3)))[1]
    assert seen(room(1), noise)[1]


def test_a_camera_that_moves_and_light_that_changes_are_none() -> None:
    assert not any(seen(*(room(1, shift) for shift in range(0, 60, 6))))
    assert not any(seen(room(1), room(1, gain=0.3), room(1), room(1, gain=0.8)))


def test_before_the_same_wall_another_person_is_a_cut_where_all_was_calm() -> None:
    first, second = room(1), room(1)
    second[80:200, 160:260] = room(3)[80:200, 160:260]
    assert 0.1 < scene_change(*(glance(one.astype(np.uint8)) for one in (first, second))) < 0.45
    assert seen(*[first] * 20, second)[20]
    busy = [room(1, shift) for shift in (0, 3, 6, 10, 14, 19, 24, 29)]
    assert (
        follow(SceneThumbnail(glance(first.astype(np.uint8)), 0.2), second.astype(np.uint8))[1]
        is False
    )
    assert not any(seen(*busy))


def test_after_a_cut_a_face_has_a_new_number() -> None:
    run = Run(FACES)
    run.frames(range(3))
    other = room(5).astype(np.uint8)[:240, :320]
    other[0, 0] = numbered(3)[0, 0]
    ((result, state),) = run.predictor.step([other], [run.state], [run.options])
    assert [face.track_id for face in result.faces] == [2]
    assert result.searched
    assert state.faces[0].validated == 1


def searched(run: Run, times_s: list[float]) -> list[float]:
    found = []
    for number, time_s in enumerate(times_s):
        ((result, run.state),) = run.predictor.step(
            [numbered(number)], [run.state], [run.options], [time_s]
        )
        found += [time_s] if result.searched else []
    return found


@pytest.mark.parametrize("rate_hz", [10, 25, 30, 60])
def test_while_nobody_is_there_the_detector_looks_at_most_8_times_a_second(rate_hz: int) -> None:
    times_s = [number / rate_hz for number in range(2 * rate_hz)]
    found = searched(Run({}), times_s)
    assert len(found) <= 17
    assert np.diff(found).max() < 0.201


def test_a_face_that_is_just_lost_is_looked_for_in_every_frame_and_then_at_that_pace() -> None:
    faces: Faces = {0: [STILL], 1: [STILL]}
    found = searched(Run(faces), [number / 25 for number in range(40)])
    assert found[1:9] == [number / 25 for number in range(3, 11)]
    assert np.diff(found[9:]).min() > 0.12


def test_the_scene_is_part_of_the_state() -> None:
    run = Run(FACES, options=TrackingOptions(max_faces=1))
    run.frames(range(2))
    assert run.state is not None
    assert run.state.scene is not None
    back = SessionState.from_tensors(run.state.to_tensors(), 2)
    assert back.scene is not None
    np.testing.assert_array_equal(back.scene.picture, run.state.scene.picture)
    assert back.scene.unrest == run.state.scene.unrest
