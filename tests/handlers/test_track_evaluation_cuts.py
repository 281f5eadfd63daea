"""Joined clips and faces that leave, measured in a world of scripted faces."""

from dataclasses import dataclass

import numpy as np

from handlers.evaluation.track.cuts import AFTER, BEFORE, GONE, measure
from handlers.predictors.tracking.options import TrackingOptions
from handlers.predictors.tracking.predictor import TrackingPredictor
from tests.handlers.test_tracking_cuts import room
from tests.handlers.tracking_fakes import (
    THESIS,
    ScriptedAligner,
    ScriptedDetector,
    ScriptedNetworks,
    box,
    numbered,
)

FACE = box(100, 100)
FACES = {number: [FACE] for number in range(200)}


@dataclass(frozen=True)
class Row:
    predictor: TrackingPredictor
    name: str = "scripted"
    options: TrackingOptions = TrackingOptions()


def clip(seed: int) -> list[np.ndarray]:
    frames = [room(seed).astype(np.uint8)[:240, :320] for _ in range(BEFORE)]
    for frame in frames:
        frame[0, 0] = numbered(seed)[0, 0]
    return frames


def test_joined_clips_get_new_numbers_and_frames_without_a_face_are_counted() -> None:
    networks, detector = ScriptedNetworks(FACES), ScriptedDetector(FACES)
    row = Row(TrackingPredictor(networks, detector, ScriptedAligner(), THESIS))
    found = measure(row, [clip(1), clip(2), clip(3)], pairs=4, seed=0)
    assert (found.pairs, found.renewed, found.slowest) == (4, 4, 0)
    assert found.slowest < AFTER
    # In this world a face stays where the number in the corner does: the parts replaced leave it.
    assert found.frames == 3 * 5 * GONE
    assert found.false == 3 * 3 * GONE
