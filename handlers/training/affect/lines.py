"""Straight lines to arousal, from facial actions and from how a voice sounds."""

from collections.abc import Sequence

import numpy as np

from handlers.predictors.affect.expressions import action_features
from handlers.predictors.affect.voice import tone_features
from handlers.predictors.alignment import AlignmentPredictor
from handlers.processing.arrays import Doubles, Floats
from handlers.processing.mel import without_level
from handlers.training.affect.voices.heard import VERSIONS, HeardVoices
from handlers.training.datasets.affect.pictures import actions_of
from handlers.training.datasets.affect.records import AffectFaces, Utterance, word_weights

# What hardly moves at all counts as moving so much.
STILL = 0.02
# So many faces say as much as all of them, in a minute; and how strongly weights are held small.
MOST_FACES, HELD_ACTIONS = 2000, 0.01
AROUSAL = 1
# A face whose word n others have counts n to this power.
EVENING = -0.3
HELD_TONE = 1.0


def fit_line(features: Doubles, wanted: Doubles, held: float, counts: Doubles) -> list[float]:
    """Fit the weights of features `(N, F)` for `wanted` `(N,)`, and last what is added.

    Weights of features of equal spread are held small, by `held` times that spread, and brought
    back together to the size that the labels ask for. `counts` `(N,)` says how much each row
    counts.
    """
    shares = counts / counts.sum()
    mean, middle = shares @ features, float(shares @ wanted)
    spread = np.sqrt(shares @ np.square(features - mean)) + STILL
    scaled, away = (features - mean) / spread, wanted - middle
    square = scaled.T @ (scaled * shares[:, None]) + held * np.eye(features.shape[1])
    weights = np.linalg.solve(square, scaled.T @ (shares * away))
    told = scaled @ weights
    size = float(shares @ (told * away)) / max(float(shares @ np.square(told)), 1e-12)
    weights = size * weights / spread
    return [*weights.tolist(), middle - float(mean @ weights)]


def fit_actions(
    sets: Sequence[AffectFaces], boxes: Sequence[Sequence[Floats]], aligner: AlignmentPredictor
) -> list[float]:
    """Fit the weights `(81,)` of `action_features` for arousal, from faces of all sets with the
    boxes of their landmarks. Rare words count more than they come."""
    everyone = [(group, row) for group, faces in enumerate(sets) for row in range(len(faces))]
    places = np.linspace(0, len(everyone) - 1, min(MOST_FACES, len(everyone))).astype(int)
    chosen = [everyone[place] for place in places.tolist()]
    images = [sets[group].images[row] for group, row in chosen]
    done = actions_of(images, [boxes[group][row] for group, row in chosen], aligner)
    known = [place for place, one in zip(chosen, done, strict=True) if one is not None]
    told = action_features(np.stack([one for one in done if one is not None]))
    features = told[:, :-1].astype(np.float64)
    arousal = np.array([float(sets[group].labels[row, AROUSAL]) for group, row in known])
    counts = word_weights([sets[group].emotions[row] for group, row in known], EVENING)
    return fit_line(features, arousal, HELD_ACTIONS, counts)


def fit_tone(
    heard: HeardVoices, utterances: Sequence[Utterance], rows: Sequence[int]
) -> list[float]:
    """Fit the weights `(25,)` of `tone_features` for arousal, from the middles of utterances in all
    their versions."""
    places = [(row, version) for row in rows for version in range(VERSIONS)]
    windows = [without_level(heard.window(row, version, 0.5)) for row, version in places]
    features = tone_features(windows)[:, :-1].astype(np.float64)
    arousal = np.array([utterances[row].arousal for row, _ in places])
    return fit_line(features, arousal, HELD_TONE, np.ones(len(places)))
