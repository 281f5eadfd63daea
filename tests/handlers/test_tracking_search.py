"""How a face is found: new ones, lost ones, false alarms, and how far away it may be."""

from handlers.predictors.tracking.identity import distance_ratio
from handlers.predictors.tracking.options import TrackingOptions
from handlers.predictors.tracking.results import Status
from tests.handlers.tracking_fakes import Faces, box
from tests.handlers.tracking_run import FACES, STILL, Run


def test_a_face_alone_is_found_farther_away_the_longer_it_is_lost() -> None:
    diagonal = 40 * 2**0.5
    moved = box(100 + 1.5 * diagonal, 100)
    faces: Faces = {0: [STILL], **{number: [moved] for number in range(1, 6)}}
    run = Run(faces, options=TrackingOptions(), start=STILL)
    found = run.statuses(range(6))
    assert found == ["tracking", "lost", "lost", "lost", "redetected", "tracking"]
    assert run.state is not None
    assert run.state.faces[0].track_id == 1


def test_a_new_face_of_which_the_validator_is_not_sure_waits_for_the_next_frame() -> None:
    run = Run(probabilities={0: 0.7})
    assert run.statuses([0, 1, 2]) == ["searching", "tracking", "tracking"]
    assert run.state is not None
    assert run.state.faces[0].track_id == 1


def test_a_false_alarm_of_one_frame_is_never_reported() -> None:
    run = Run({0: [STILL]}, {0: 0.7}, detections={0: [STILL], 3: [STILL]})
    assert run.statuses([0, 1, 2]) == ["searching"] * 3
    assert run.state is not None
    assert (run.state.faces, run.state.next_id) == ((), 1)


def test_a_box_that_has_shrunk_to_nothing_is_left_for_the_face() -> None:
    assert distance_ratio(box(100, 100, side=2), box(130, 100)) < 1


def test_t_b_is_measured_in_diagonals_of_the_last_box() -> None:
    within = box(100 + 40 * 2**0.5 - 1, 100)
    run = Run(FACES, {1: 0.2, 2: 0.9}, detections={0: [STILL], 2: [within]})
    assert run.statuses([0, 1, 2]) == ["tracking", "lost", "redetected"]


def test_the_answer_that_lost_the_face_is_told_when_it_is_found_again() -> None:
    run = Run(probabilities={1: 0.3, 2: 0.2, 3: 0.1})
    again = run.frames(range(5))[4]
    assert again.status is Status.REDETECTED
    assert again.faces[0].lost_probability == 0.3


def test_the_thesis_waits_for_ever() -> None:
    run = Run({0: [STILL]})
    assert run.statuses(range(40))[1:] == ["lost"] * 39


def test_without_a_face_it_searches() -> None:
    run = Run({3: [STILL], 4: [STILL]})
    results = run.frames(range(5))
    assert [result.status.value for result in results] == ["searching"] * 3 + ["tracking"] * 2
    assert [result.step for result in results] == [1, 2, 3, 4, 5]


def test_a_new_face_that_the_validator_refuses_is_none() -> None:
    run = Run(probabilities={0: 0.2})
    assert run.statuses([0, 1]) == ["searching", "tracking"]
    assert run.frames([2])[0].faces[0].track_id == 1
