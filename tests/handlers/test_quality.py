"""How far a face's landmarks can be trusted, in one number."""

from handlers.processing.quality import landmark_quality
from tests.handlers.align_fakes import MEAN


def test_every_doubt_lowers_the_quality() -> None:
    best = landmark_quality(0.9, 0.99, MEAN, 1.0)
    assert 0.8 < best < 1
    assert landmark_quality(0.5, 0.99, MEAN, 1.0) < best
    assert landmark_quality(0.9, 0.8, MEAN, 1.0) < best
    assert landmark_quality(0.9, 0.99, MEAN / 4, 1.0) < best
    assert landmark_quality(0.9, 0.99, MEAN, 0.1) < best
    assert landmark_quality(0.9, None, MEAN, 1.0) >= best
    assert landmark_quality(0.0, 0.0, MEAN, 0.0) == 0
