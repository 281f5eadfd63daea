"""Several faces: whose detection it is, when a number is kept, given up or new, and merging."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from handlers.predictors.tracking.attempt import (
    distance_ratio,
    duplicates,
    has_size,
    nearest,
    plan,
)
from handlers.predictors.tracking.options import TrackingOptions, TrackingSettings
from handlers.predictors.tracking.predictor import TrackingPredictor
from handlers.predictors.tracking.state import FaceState, SessionState
from handlers.processing.boxes import overlap
from tests.handlers.tracking_fakes import (
    Faces,
    ScriptedAligner,
    ScriptedDetector,
    ScriptedNetworks,
    box,
    numbered,
)

Floats = NDArray[np.float32]

PATIENCE = 4
SETTINGS = TrackingSettings(2.0, 1.3, t_b=1.0, t_c=0.5, seq_bt=8, patience=PATIENCE)
LEFT, RIGHT, LOW = box(60, 60), box(200, 60), box(120, 180)


def ids(
    faces: Faces,
    numbers: Sequence[int],
    options: TrackingOptions,
    start: SessionState | None = None,
    patience: int = PATIENCE,
) -> list[list[tuple[int, str]]]:
    """The number and status of every face reported, frame by frame."""
    settings = replace(SETTINGS, patience=patience)
    networks, detector = ScriptedNetworks(faces), ScriptedDetector(faces)
    predictor = TrackingPredictor(networks, detector, ScriptedAligner(), settings)
    state, seen = start, []
    for number in numbers:
        ((result, state),) = predictor.step([numbered(number)], [state], [options])
        seen.append([(face.track_id, face.status.value) for face in result.faces])
    return seen


def test_two_faces_get_the_numbers_1_and_2_in_order_of_prominence() -> None:
    seen = ids({0: [LEFT, RIGHT]}, [0], TrackingOptions(max_faces=2))
    assert seen == [[(1, "tracking"), (2, "tracking")]]


def test_one_face_is_followed_where_one_is_asked_for() -> None:
    assert ids({0: [LEFT, RIGHT]}, [0], TrackingOptions()) == [[(1, "tracking")]]


def test_a_face_that_leaves_and_comes_back_in_time_keeps_its_number() -> None:
    there = {number: [LEFT, RIGHT] for number in (0, 1, 2, 6, 7)}
    gone = {number: [LEFT] for number in (3, 4, 5)}
    seen = ids({**there, **gone}, range(8), TrackingOptions(max_faces=2))
    assert [dict(frame)[1] for frame in seen] == ["tracking"] * 8
    second = [dict(frame)[2] for frame in seen]
    assert second == ["tracking"] * 3 + ["lost"] * 3 + ["redetected", "tracking"]


def test_a_face_lost_for_longer_than_patience_is_given_up_and_its_number_never_used_again() -> None:
    faces: Faces = {0: [LEFT], **{number: [LEFT] for number in range(7, 10)}}
    seen = ids(faces, range(10), TrackingOptions())
    assert seen[1:6] == [[(1, "lost")]] * (PATIENCE + 1)
    assert seen[6] == []
    assert seen[7:] == [[(2, "tracking")]] * 3


@pytest.mark.parametrize(("side", "number"), [(20, 1), (80, 1), (15, 2), (110, 2)])
def test_a_face_found_again_at_another_size_is_another_persons(side: float, number: int) -> None:
    faces: Faces = {0: [LEFT], 1: [], 2: [box(60, 60, side)]}
    seen = ids(faces, [0, 1, 2], TrackingOptions())
    assert [statuses[0][0] for statuses in seen] == [1, 1, number]


def test_a_face_that_joins_later_is_discovered() -> None:
    faces: Faces = {number: [LEFT] if number < 3 else [LEFT, RIGHT] for number in range(12)}
    seen = ids(faces, range(12), TrackingOptions(max_faces=2, discover_every=5))
    assert [len(frame) for frame in seen] == [1] * 5 + [2] * 7
    assert seen[-1] == [(1, "tracking"), (2, "tracking")]


def test_a_lost_face_does_not_take_the_detection_of_one_that_is_followed() -> None:
    near = box(90, 60)
    faces: Faces = {0: [LEFT, near], **{number: [near] for number in range(1, 4)}}
    seen = ids(faces, range(4), TrackingOptions(max_faces=2))
    assert [dict(frame)[2] for frame in seen] == ["tracking"] * 4
    assert [dict(frame)[1] for frame in seen[1:]] == ["lost"] * 3


def test_faces_that_have_become_one_are_merged_and_the_older_stays() -> None:
    faces: Faces = {number: [LEFT] for number in range(12)}
    doubled = SessionState.at([LEFT, box(66, 60)])
    seen = ids(faces, range(8), TrackingOptions(max_faces=2), doubled)
    assert [dict(frame)[1] for frame in seen] == ["tracking"] * 8
    assert [dict(frame).get(2) for frame in seen] == ["lost"] * (PATIENCE + 1) + [None] * 3


def test_a_face_covered_by_another_is_found_beside_it_under_its_own_number() -> None:
    def crossing(number: int) -> list[Floats]:
        passer = box(60 + 10 * number, 60)
        stays = box(120, 60)
        return [passer] if overlap(passer, stays) > 0.3 else [stays, passer]

    faces: Faces = {number: crossing(number) for number in range(14)}
    seen = ids(faces, range(14), TrackingOptions(max_faces=2), patience=8)
    # 1 stays where it is, at x = 120, and is covered from frame 4 to 8; 2 passes in front of it.
    assert [dict(frame)[2] for frame in seen] == ["tracking"] * 14
    covered = ["lost"] * 5 + ["redetected"]
    assert [dict(frame)[1] for frame in seen] == ["tracking"] * 4 + covered + ["tracking"] * 4


def test_fewer_faces_asked_for_leaves_the_oldest() -> None:
    faces: Faces = {number: [LEFT, RIGHT, LOW] for number in range(3)}
    networks, detector = ScriptedNetworks(faces), ScriptedDetector(faces)
    predictor = TrackingPredictor(networks, detector, ScriptedAligner(), SETTINGS)
    ((_, state),) = predictor.step([numbered(0)], [None], [TrackingOptions(max_faces=3)])
    ((result, state),) = predictor.step([numbered(1)], [state], [TrackingOptions(max_faces=1)])
    assert [face.track_id for face in result.faces] == [1]
    ((result, _),) = predictor.step([numbered(2)], [state], [TrackingOptions(max_faces=1)])
    assert len(result.faces) == 1


def lost(number: int, at: Floats) -> FaceState:
    return FaceState(number, at, at, lost=1)


def test_each_lost_face_takes_the_detection_nearest_to_it() -> None:
    faces = [lost(1, LEFT), lost(2, RIGHT)]
    detections = [box(195, 60), box(65, 60)]
    targets = plan(faces, detections, TrackingOptions(max_faces=2), t_b=1.0)
    assert [target.box.tolist() for target in targets] == [
        detections[1].tolist(),
        detections[0].tolist(),
    ]
    assert all(target.detected for target in targets)


def test_a_detection_is_given_to_one_face_only() -> None:
    assert nearest([LEFT, box(64, 60)], [box(65, 60)], t_b=1.0) == {1: 0}


def test_nothing_is_near_without_detections() -> None:
    assert nearest([LEFT], [], t_b=1.0) == {}


def test_what_no_face_accounts_for_is_new_while_there_is_room() -> None:
    faces = [FaceState(1, LEFT, LEFT)]
    detections = [box(62, 60), RIGHT, LOW]
    targets = plan(faces, detections, TrackingOptions(max_faces=2), t_b=1.0)
    assert [target.is_new for target in targets] == [False, True]
    assert targets[0].box.tolist() == LEFT.tolist()
    assert targets[1].box.tolist() == RIGHT.tolist()


def test_of_two_faces_on_one_place_the_steadier_stays() -> None:
    here = [box(60, 60), box(62, 60)]

    def yields(*faces: FaceState) -> set[int]:
        return duplicates(faces, here)

    steady = FaceState(1, LEFT, LEFT, validated=5)
    assert yields(replace(steady, validated=3), steady) == {0}
    assert yields(steady, steady) == {1}
    assert yields(replace(steady, box=box(85, 60), validated=99), steady) == {0}
    assert yields(replace(steady, lost=1, validated=99), steady) == {0}
    assert duplicates([steady, steady], [LEFT, RIGHT]) == set()


def test_the_ratio_is_a_distance_of_centres_in_diagonals_of_the_first_box() -> None:
    assert distance_ratio(box(0, 0, 30), box(30, 40, 10)) == pytest.approx(50 / (30 * 2**0.5))


def test_overlap_is_intersection_over_union() -> None:
    assert overlap(box(0, 0, 10), box(5, 0, 10)) == pytest.approx(1 / 3)
    assert overlap(LEFT, RIGHT) == 0
    assert overlap(box(0, 0, 0), box(0, 0, 0)) == 0


def test_a_box_has_size_from_one_pixel_on() -> None:
    assert has_size(box(5, 5, 1))
    assert not has_size(np.array([5, 5, 5.5, 40], np.float32))
