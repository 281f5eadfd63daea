"""Faces that lie on their side or upside down are followed in frames that are turned for them."""

import numpy as np
import pytest
from PIL import Image as Pillow

from handlers.predictors.tracking.options import TrackingOptions
from handlers.predictors.tracking.state import SessionState
from handlers.predictors.tracking.turns import points_back, quarter_of, turned
from handlers.track import load_parts
from tests.handlers.align_fakes import ROOT, STORE

PORTRAIT = ROOT / "tests" / "assets" / "astronaut.jpg"


@pytest.mark.parametrize("quarters", range(4))
def test_points_of_a_turned_frame_come_back_to_their_pixels(quarters: int) -> None:
    frame = np.random.default_rng(quarters).integers(0, 255, (30, 50, 3), np.uint8)
    looked_at = turned(frame, quarters)
    points = np.array([[3, 7], [20, 11], [0, 0]], np.float32)
    back = points_back(points, quarters, 50, 30).astype(int)
    for (x, y), (u, v) in zip(points.astype(int), back, strict=True):
        np.testing.assert_array_equal(looked_at[y, x], frame[v, u])


def test_every_turn_is_tried_in_turn_and_most_searches_look_upright_alone() -> None:
    tried = [quarter_of(count) for count in range(9)]
    assert [one for one in tried if one is not None] == [1, 3, 2]


@pytest.mark.skipif(not (STORE / "dcrt").is_dir(), reason="model_store/dcrt holds no weights yet")
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_a_face_at_any_quarter_is_found_within_seconds_and_followed_with_its_landmarks(
    degrees: int,
) -> None:
    predictor = load_parts(STORE, "cpu").predictor
    portrait = Pillow.open(PORTRAIT).convert("RGB").crop((100, 0, 340, 240))
    frame = np.asarray(portrait.rotate(-degrees, expand=True))
    state, seen = None, []
    for number in range(12):
        ((result, state),) = predictor.step([frame], [state], [TrackingOptions()], [number * 0.15])
        seen.append(result)
        state = SessionState.from_tensors(state.to_tensors(), state.step)
    (face,) = seen[-1].faces
    assert face.landmarks is not None
    right, down = (
        np.diff(face.landmarks[[36, 45]], axis=0)[0],
        face.landmarks[8] - face.landmarks[27],
    )
    roll = np.degrees(np.arctan2(right[1], right[0]))
    assert abs((roll - degrees + 180) % 360 - 180) < 15
    assert np.linalg.norm(down) > 50
    assert len({one.track_id for result in seen for one in result.faces}) == 1
