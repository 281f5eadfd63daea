"""Another person in a face's place is a new face; turning heads and changing light are not."""

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest

from handlers.predictors.tracking.changes import MOST_AGE, MOST_AGE_S, FaceThumbnail, compare, look
from handlers.predictors.tracking.state import FaceState, SessionState
from tests.handlers.tracking_fakes import FACES, STILL, Run, numbered

EYES, MOUTH = ((0.3, 0.33), (0.7, 0.33)), (0.5, 0.75)


def drawn(seed: int, turn: float = 0.0) -> np.ndarray:
    """Fine and coarse patches of one person, a share of them those of another: 32 x 32 x 3."""
    rng = np.random.default_rng(seed)
    coarse, fine = (rng.uniform(60, 190, (side, side, 3)) for side in (5, 12))
    whole = sum(cv2.resize(one, (32, 32), interpolation=cv2.INTER_CUBIC) for one in (coarse, fine))
    if turn:
        whole = (1 - turn) * whole + turn * drawn(seed + 1000)
    return np.asarray(whole, np.float64) / (1 if turn else 2)


def seen(*pictures: np.ndarray, step_s: float = 0.04) -> list[bool]:
    looks, found = None, []
    for number, picture in enumerate(pictures):
        now = FaceThumbnail(picture.clip(0, 255).astype(np.uint8), number * step_s)
        looks = None if looks is None else replace(looks, age=looks.age + 1)
        looks, is_other = compare(looks, now)
        found.append(is_other)
    return found


def test_another_face_is_seen_at_once_and_once() -> None:
    assert seen(drawn(1), drawn(1), drawn(2), drawn(2)) == [False, False, True, False]


def test_light_is_no_other_face() -> None:
    face, slope = drawn(1), np.linspace(0, 1, 32)[None, :, None]
    lights = [face * 0.4, face + 50, face * (0.4 + slope), face * 0.6 + slope * 80]
    lights += [255 * (face / 255) ** 0.6, cv2.GaussianBlur(face, (0, 0), 1.0)]
    for light in lights:
        assert not any(seen(face, light, face))


def test_a_head_that_turns_step_by_step_stays_and_so_does_one_that_moves_all_the_time() -> None:
    steps = np.linspace(0, 1, 26)
    assert not any(seen(*(drawn(1, turn) for turn in steps)))
    restless = [drawn(1, turn) for turn in (0, 0.15, 0.3, 0.1, 0.25, 0.5, 0.2, 0.45)]
    assert not any(seen(*restless))


def test_what_is_longer_ago_is_not_compared() -> None:
    assert not any(seen(drawn(1), drawn(2), step_s=MOST_AGE_S + 0.01))
    old = FaceThumbnail(drawn(1).astype(np.uint8), math.nan, age=MOST_AGE + 1)
    assert compare(old, FaceThumbnail(drawn(2).astype(np.uint8)))[1] is False
    assert compare(replace(old, age=1), FaceThumbnail(drawn(2).astype(np.uint8)))[1] is True


def test_faces_without_any_drawing_are_not_told_apart() -> None:
    flat = np.full((32, 32, 3), 90.0)
    assert not any(seen(flat, drawn(1), flat, flat + 60))


@pytest.mark.parametrize(("angle", "side"), [(0.0, 60), (0.7, 60), (-2.0, 200)])
def test_a_look_is_upright_and_of_one_size(angle: float, side: float) -> None:
    turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    places = np.zeros((68, 2))
    for part, place in zip(
        (slice(36, 42), slice(42, 48), slice(48, 60)), (*EYES, MOUTH), strict=True
    ):
        places[part] = place
    landmarks = ((places - 0.5) * side @ turned.T + (200, 160)).astype(np.float32)
    frame = np.zeros((320, 400, 3), np.uint8)
    for point, colour in zip(landmarks[[36, 42, 50]], np.eye(3) * 255, strict=True):
        cv2.circle(frame, tuple(round(float(v)) for v in point), round(side / 12), colour, -1)
    found = look(frame, landmarks)
    for place, channel in zip((*EYES, MOUTH), range(3), strict=True):
        x, y = (round(v * 31) for v in place)
        assert found[y, x, channel] > 120
        assert found[y, x].sum() - found[y, x, channel] < 60


def with_face(number: int, seed: int) -> np.ndarray:
    """A scripted frame with a face in the place of the still one, all else the same."""
    frame = numbered(number)
    frame[1:] = 90
    x1, y1, x2, y2 = STILL.round().astype(int)
    frame[y1:y2, x1:x2] = cv2.resize(drawn(seed).astype(np.uint8), (x2 - x1, y2 - y1))
    return frame


@pytest.mark.parametrize(("confidence", "then"), [(0.95, 2), (0.7, 1)])
def test_another_person_in_the_face_s_place_gets_a_new_number_where_it_is_clear(
    confidence: float, then: int
) -> None:
    run = Run(FACES)
    run.aligner.confidence = confidence
    numbers = []
    for number, seed in enumerate([1, 1, 1, 2, 2, 2]):
        frame = with_face(number, seed)
        ((result, run.state),) = run.predictor.step([frame], [run.state], [run.options])
        numbers.append([face.track_id for face in result.faces])
    assert numbers == [[1], [1], [1], [then], [then], [then]]


def test_looks_are_part_of_the_state() -> None:
    looks = FaceThumbnail(drawn(1).astype(np.uint8), 2.5, 0.125, 3)
    face = FaceState(1, STILL, STILL, looks=looks)
    back = SessionState.from_tensors(SessionState(faces=(face,)).to_tensors(), 1).faces[0].looks
    assert back is not None
    np.testing.assert_array_equal(back.picture, looks.picture)
    assert (back.time_s, back.unrest, back.age) == (2.5, 0.125, 3)
