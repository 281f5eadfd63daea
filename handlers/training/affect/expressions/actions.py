"""Arousal from facial actions: a straight line through them and their roots."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from handlers.predictors.affect.expressions import action_features
from handlers.predictors.alignment import AlignmentPredictor
from handlers.training.datasets.affect.pictures import actions_of
from handlers.training.datasets.affect.records import AffectFaces

Floats = NDArray[np.float32]

# So many faces say as much as all of them, in a minute; and how strongly weights are held small.
MOST_FACES, HELD = 4000, 5.0
AROUSAL = 1


def fit_line(
    sets: Sequence[AffectFaces], boxes: Sequence[Sequence[Floats]], aligner: AlignmentPredictor
) -> list[float]:
    """The weights `(81,)` of `action_features` for arousal, from faces of all sets with the boxes
    of their landmarks."""
    everyone = [(group, row) for group, faces in enumerate(sets) for row in range(len(faces))]
    places = np.linspace(0, len(everyone) - 1, min(MOST_FACES, len(everyone))).astype(int)
    chosen = [everyone[place] for place in places.tolist()]
    images = [sets[group].images[row] for group, row in chosen]
    done = actions_of(images, [boxes[group][row] for group, row in chosen], aligner)
    labels = [sets[group].labels[row, AROUSAL] for group, row in chosen]
    known = [(one, label) for one, label in zip(done, labels, strict=True) if one is not None]
    features = action_features(np.stack([one for one, _ in known]))
    arousal = np.array([label for _, label in known])
    square = features.T @ features + HELD * np.eye(features.shape[1])
    return [float(weight) for weight in np.linalg.solve(square, features.T @ arousal)]
