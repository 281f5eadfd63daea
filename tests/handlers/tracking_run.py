"""One session of the tracking predictor in a world of scripted faces, frame by frame."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from handlers.predictors.tracking.options import TrackingOptions, TrackingSettings
from handlers.predictors.tracking.predictor import TrackingPredictor
from handlers.predictors.tracking.results import FrameResult
from handlers.predictors.tracking.state import SessionState
from tests.handlers.tracking_fakes import (
    Faces,
    ScriptedAligner,
    ScriptedDetector,
    ScriptedNetworks,
    box,
    numbered,
)

THESIS = TrackingSettings(2.0, 1.3, t_b=1.0, t_c=0.5, seq_bt=2, patience=None)
STILL = box(100, 100)
FACES: Faces = {number: [STILL] for number in range(40)}


class Run:
    """One session, frame by frame."""

    def __init__(
        self,
        faces: Faces = FACES,
        probabilities: dict[int, float] | None = None,
        options: TrackingOptions | None = None,
        start: NDArray[np.float32] | None = None,
        detections: Faces | None = None,
    ) -> None:
        self.networks = ScriptedNetworks(faces, probabilities)
        self.detector = ScriptedDetector(faces if detections is None else detections)
        self.aligner = ScriptedAligner()
        self.predictor = TrackingPredictor(self.networks, self.detector, self.aligner, THESIS)
        self.options = options or TrackingOptions()
        self.state = None if start is None else SessionState.at([start])

    def frames(self, numbers: Sequence[int]) -> list[FrameResult]:
        results = []
        for number in numbers:
            ((result, self.state),) = self.predictor.step(
                [numbered(number)], [self.state], [self.options]
            )
            results.append(result)
        return results

    def statuses(self, numbers: Sequence[int]) -> list[str]:
        return [result.status.value for result in self.frames(numbers)]
