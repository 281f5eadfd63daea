"""Algorithm 2, line by line, with a scripted detector, BT, FV and landmark network."""

import pytest

from handlers.predictors.tracking.attempt import distance_ratio
from handlers.predictors.tracking.options import TrackingOptions
from handlers.predictors.tracking.results import Status
from tests.handlers.tracking_fakes import FACES, STILL, Faces, Run, box


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


def test_the_first_frame_is_detected_and_its_crop_stands_for_both() -> None:
    run = Run()
    (result,) = run.frames([0])
    assert run.detector.calls == [[0]]
    assert run.networks.asked[0].box == STILL.tolist()
    assert (run.networks.asked[0].steps, run.networks.asked[0].before) == (0, None)
    assert result.status is Status.TRACKING
    assert result.faces[0].face_probability == 0.9


def test_line_3_a_followed_face_is_not_detected_again() -> None:
    run = Run()
    run.frames(range(5))
    assert run.detector.calls == [[0]]


def test_a_given_box_takes_the_place_of_the_first_detection() -> None:
    run = Run(start=STILL)
    run.frames([0])
    assert run.detector.calls == []
    assert run.networks.asked[0].box == STILL.tolist()


def test_lines_5_and_6_the_nearest_detection_within_t_b_becomes_p_b() -> None:
    near, far = box(130, 100), box(150, 100)
    run = Run({0: [STILL], 1: [STILL]}, {1: 0.2, 2: 0.9}, detections={0: [STILL], 2: [far, near]})
    lost, again = run.frames([0, 1, 2])[1:]
    assert lost.status is Status.LOST
    assert run.networks.asked[2].box == near.tolist()
    assert again.status is Status.REDETECTED
    assert again.faces[0].lost_probability == 0.2
    assert again.faces[0].face_probability == 0.9


def test_line_8_with_all_detections_too_far_the_last_valid_box_is_kept() -> None:
    diagonal = 40 * 2**0.5
    beyond = box(100 + diagonal + 1, 100)
    several = TrackingOptions(max_faces=2)
    run = Run(FACES, {1: 0.2, 2: 0.3}, several, detections={0: [STILL], 2: [beyond]})
    results = run.frames([0, 1, 2])
    assert [result.faces[0].status for result in results[1:]] == [Status.LOST, Status.LOST]
    assert results[2].faces[0].box.tolist() == STILL.tolist()


def test_lines_9_and_10_a_box_without_size_gives_way_to_the_first_one() -> None:
    run = Run({0: [STILL], 1: [box(100, 100, side=0)], 2: [STILL]}, {1: 0.9})
    results = run.frames([0, 1, 2])
    assert run.networks.asked[2].box == STILL.tolist()
    assert [result.status.value for result in results] == ["tracking"] * 3


def test_lines_11_and_12_the_state_is_reset_after_n_plus_1_validated_frames() -> None:
    run = Run()
    run.frames(range(8))
    assert [asked.steps for asked in run.networks.asked] == [0, 1, 2, 0, 1, 2, 0, 1]


def test_only_validated_frames_count_for_the_window() -> None:
    run = Run(probabilities={1: 0.1})
    run.frames(range(6))
    # Frame 1 is lost: frames 2, 3 and 4 are a whole window.
    assert [asked.steps for asked in run.networks.asked] == [0, 1, 0, 1, 2, 0]


def test_a_lost_face_is_found_by_the_detector_and_not_by_its_last_box_alone() -> None:
    run = Run(probabilities={1: 0.1, 2: 0.1, 3: 0.1}, detections={0: [STILL], 4: [STILL]})
    assert run.statuses(range(6)) == [
        "tracking",
        "lost",
        "lost",
        "lost",
        "redetected",
        "tracking",
    ]
    assert [(asked.frame, asked.steps) for asked in run.networks.asked] == [
        (0, 0),
        (1, 1),
        (2, 0),
        (3, 0),
        (4, 0),
        (5, 1),
    ]


def test_line_13_the_frame_before_is_seen_at_the_box_its_step_ended_with() -> None:
    moving: Faces = {number: [box(100 + 5 * number, 100)] for number in range(4)}
    run = Run(moving)
    run.aligner.shift = 2
    results = run.frames(range(4))
    for number in range(1, 4):
        asked, ended = run.networks.asked[number], results[number - 1].faces[0].box.tolist()
        assert asked.box == ended
        assert asked.before == [number - 1.0, *ended]


def test_line_13_on_redetection_the_crop_stands_for_both() -> None:
    run = Run(probabilities={1: 0.1})
    run.frames([0, 1, 2])
    assert run.networks.asked[2].before is None


def test_what_was_seen_at_the_final_box_already_is_not_computed_again() -> None:
    run = Run()
    run.frames(range(3))
    assert run.networks.remembered == []


def test_lines_15_and_16_below_t_c_there_is_no_estimate() -> None:
    run = Run(probabilities={1: 0.49})
    _, lost = run.frames([0, 1])
    assert lost.status is Status.LOST
    assert lost.faces[0].landmarks is None
    assert lost.faces[0].box.tolist() == STILL.tolist()
    assert lost.faces[0].face_probability == 0.49


def test_where_bts_landmarks_are_rejected_the_landmark_network_is_heard_too() -> None:
    run = Run(probabilities={1: 0.1})
    run.networks.second_probabilities = {1: 0.8}
    assert run.statuses([0, 1, 2]) == ["tracking", "tracking", "tracking"]
    assert run.networks.validated == [0, 1, 1, 2]
    assert run.detector.calls == [[0]]


def test_line_15_at_t_c_the_face_is_followed() -> None:
    assert Run(probabilities={1: 0.5}).statuses([0, 1]) == ["tracking", "tracking"]


def test_lines_18_and_19_the_landmark_network_looks_at_bts_box_and_has_the_last_word() -> None:
    moving: Faces = {number: [box(100 + 5 * number, 100)] for number in range(2)}
    run = Run(moving)
    run.aligner.shift = 1
    _, second = run.frames([0, 1])
    assert run.aligner.calls[1] == (1, box(105, 100).tolist(), True)
    assert second.faces[0].box.tolist() == box(106, 100).tolist()


def test_a_face_far_off_the_middle_of_its_window_is_looked_at_again_there() -> None:
    run = Run()
    run.aligner.shift = 3
    (first,) = run.frames([0])
    assert run.aligner.calls == [(0, STILL.tolist(), True), (0, box(103, 100).tolist(), True)]
    assert first.faces[0].box.tolist() == box(106, 100).tolist()


def test_line_21_a_face_found_again_is_followed_without_the_detector() -> None:
    run = Run(probabilities={1: 0.1})
    assert run.statuses(range(5)) == ["tracking", "lost", "redetected", "tracking", "tracking"]
    assert run.detector.calls == [[0], [2]]


def test_where_the_final_box_is_all_but_the_first_the_frame_is_not_seen_once_more() -> None:
    run = Run()
    run.aligner.shift = 1
    results = run.frames([0, 1, 2])
    assert run.networks.remembered == []
    assert [asked.box for asked in run.networks.asked] == [STILL.tolist()] * 3
    assert results[2].faces[0].box.tolist() == box(101, 100).tolist()


def test_at_its_last_box_a_lost_face_is_back_where_the_landmark_network_is_sure() -> None:
    run = Run(probabilities={1: 0.1}, detections={0: [STILL]})
    run.aligner.confidence = 0.8
    assert run.statuses(range(3)) == ["tracking", "lost", "tracking"]


def test_the_landmark_network_vouches_for_a_face_that_the_validator_half_rejects() -> None:
    run = Run(probabilities={1: 0.3, 2: 0.1}, detections={0: [STILL]})
    run.aligner.confidence = 0.8
    assert run.statuses(range(3)) == ["tracking", "tracking", "lost"]


@pytest.mark.parametrize(("confidence", "found"), [(0.8, "tracking"), (0.7, "lost")])
def test_a_face_lost_for_long_is_back_at_its_last_box_where_both_networks_are_sure(
    confidence: float, found: str
) -> None:
    gone = dict.fromkeys(range(1, 12), 0.1)
    run = Run(probabilities=gone, detections={0: [STILL]})
    run.aligner.confidence = confidence
    assert run.statuses(range(13)) == ["tracking", *["lost"] * 11, found]
