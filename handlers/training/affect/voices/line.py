"""Arousal from how a voice sounds: a straight line through a few numbers."""

from collections.abc import Sequence

import numpy as np

from handlers.predictors.affect.tone import tone_features
from handlers.processing.mel import without_level
from handlers.training.affect.lines import fit_line
from handlers.training.affect.voices.heard import VERSIONS, HeardVoices
from handlers.training.datasets.affect.records import Utterance

HELD = 1.0


def fit_tone(
    heard: HeardVoices, utterances: Sequence[Utterance], rows: Sequence[int]
) -> list[float]:
    """The weights `(25,)` of `tone_features` for arousal, from the middles of utterances in all
    their versions."""
    places = [(row, version) for row in rows for version in range(VERSIONS)]
    windows = [without_level(heard.window(row, version, 0.5)) for row, version in places]
    features = tone_features(windows)[:, :-1].astype(np.float64)
    arousal = np.array([utterances[row].arousal for row, _ in places])
    return fit_line(features, arousal, HELD, np.ones(len(places)))
