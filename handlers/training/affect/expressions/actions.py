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
# A face whose word n others have counts n to this power.
EVENING = -0.3


def fit_line(
    sets: Sequence[AffectFaces], boxes: Sequence[Sequence[Floats]], aligner: AlignmentPredictor
) -> list[float]:
    """The weights `(81,)` of `action_features` for arousal, from faces of all sets with the boxes
    of their landmarks. Rare words count more than they come."""
    everyone = [(group, row) for group, faces in enumerate(sets) for row in range(len(faces))]
    places = np.linspace(0, len(everyone) - 1, min(MOST_FACES, len(everyone))).astype(int)
    chosen = [everyone[place] for place in places.tolist()]
    images = [sets[group].images[row] for group, row in chosen]
    done = actions_of(images, [boxes[group][row] for group, row in chosen], aligner)
    known = [place for place, one in zip(chosen, done, strict=True) if one is not None]
    features = action_features(np.stack([one for one in done if one is not None]))
    arousal = np.array([sets[group].labels[row, AROUSAL] for group, row in known])
    counted = features * evening([sets[group].emotions[row] for group, row in known])[:, None]
    square = counted.T @ features + HELD * np.eye(features.shape[1])
    return [float(weight) for weight in np.linalg.solve(square, counted.T @ arousal)]


def evening(words: Sequence[str]) -> Floats:
    """How much each face counts `(N,)`, 1 in the mean."""
    _, places, counts = np.unique(words, return_inverse=True, return_counts=True)
    weights = counts[places].astype(np.float32) ** EVENING
    return np.asarray(weights / weights.mean(), np.float32)
