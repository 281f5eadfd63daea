"""Blinks are short closings of the lids, of each face by itself."""

from collections.abc import Sequence

import pytest

from service.align.interface import TRACKED_FACE
from service.openface import ACTIONS
from service.schemas import TrackedFace
from service.track.clip import Blink, Blinks

RATE_HZ = 25


def face(lids: float | None, track_id: int = 1) -> TrackedFace:
    actions = None
    if lids is not None:
        actions = dict.fromkeys(ACTIONS, 0.0) | {"eyeBlinkLeft": lids, "eyeBlinkRight": lids}
    return TrackedFace.model_validate(TRACKED_FACE | {"actions": actions, "track_id": track_id})


def watched(lids: Sequence[float | None]) -> list[Blink]:
    blinks = Blinks()
    for frame, value in enumerate(lids):
        blinks.note(frame / RATE_HZ, [face(value)])
    return blinks.found


def test_lids_that_close_for_a_moment_blink_at_that_time() -> None:
    (blink,) = watched([0.1] * 25 + [0.5, 0.8, 0.5] + [0.1] * 10)
    assert (blink.track_id, blink.start_s, blink.end_s) == (1, 1.0, 1.12)


@pytest.mark.parametrize(
    "lids",
    [
        [0.1] * 60,
        [0.1] * 25 + [0.2, 0.15] + [0.1] * 10,  # a tremor
        [0.1] * 25 + [0.9] * 25 + [0.1] * 10,  # a second of sleep
        [0.5] * 60,  # eyes that are narrow or look down
        [0.1] * 25 + [0.8],  # the clip ends with the eyes closed
    ],
)
def test_what_is_no_short_closing_is_no_blink(lids: list[float]) -> None:
    assert watched(lids) == []


def test_a_face_that_is_lost_meanwhile_did_not_blink() -> None:
    assert watched([0.1] * 25 + [0.8, None, None] + [0.1] * 10) == []


def test_every_face_blinks_for_itself() -> None:
    blinks = Blinks()
    for frame in range(40):
        closed = 0.8 if frame in (20, 21) else 0.1
        blinks.note(frame / RATE_HZ, [face(closed, 1), face(0.1, 2)])
    assert [blink.track_id for blink in blinks.found] == [1]
