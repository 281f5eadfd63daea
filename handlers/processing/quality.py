"""One number that tells how far the landmarks of a face can be trusted."""

import numpy as np
from numpy.typing import NDArray

from handlers.processing.landmarks import bounding_box

SHARP_FACE_PX = 64.0
DEGRADED_TRUST = SMALL_TRUST = 0.5

# Measured with DFA's landmarks: what a detector takes for a face in pictures without one, and faces
# looked at in a wrong direction, stay below; blurred, noisy, dark and 16-pixel faces above.
LEAST_QUALITY = 0.15


def landmark_quality(
    confidence: float, score: float | None, landmarks: NDArray[np.float32], clean: float
) -> float:
    """A product of four doubts, in [0, 1].

    `confidence` of the landmark network; the detector's `score`, None for a box that the caller
    gave; the longer side of the landmarks' box, full from 64 pixels on, half for a point; and the
    probability `clean` that nothing degrades the face: a surely degraded one counts half.
    """
    box = bounding_box(landmarks)
    sharp = min(float((box[2:] - box[:2]).max()) / SHARP_FACE_PX, 1.0)
    size = SMALL_TRUST + (1 - SMALL_TRUST) * sharp
    trust = DEGRADED_TRUST + (1 - DEGRADED_TRUST) * clean
    product = confidence * (1.0 if score is None else score) * size * trust
    return float(np.clip(product, 0.0, 1.0))
