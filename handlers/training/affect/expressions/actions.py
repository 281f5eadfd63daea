"""Arousal from facial actions: a straight line through them and their roots."""

from collections.abc import Sequence

import numpy as np

from handlers.predictors.affect.expressions import action_features
from handlers.predictors.alignment import AlignmentPredictor
from handlers.processing.arrays import Doubles, Floats
from handlers.training.affect.lines import fit_line
from handlers.training.datasets.affect.pictures import actions_of
from handlers.training.datasets.affect.records import AffectFaces

# So many faces say as much as all of them, in a minute; and how strongly weights are held small.
MOST_FACES, HELD = 2000, 0.01
AROUSAL = 1
# A face whose word n others have counts n to this power.
EVENING = -0.3


def fit_actions(
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
    told = action_features(np.stack([one for one in done if one is not None]))
    features = told[:, :-1].astype(np.float64)
    arousal = np.array([float(sets[group].labels[row, AROUSAL]) for group, row in known])
    counts = evening([sets[group].emotions[row] for group, row in known])
    return fit_line(features, arousal, HELD, counts)


def evening(words: Sequence[str]) -> Doubles:
    """Return the weight of each face, `(N,)`."""
    _, places, counts = np.unique(words, return_inverse=True, return_counts=True)
    return np.asarray(counts[places].astype(np.float64) ** EVENING)
