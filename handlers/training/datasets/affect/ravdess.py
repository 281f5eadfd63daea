"""RAVDESS acted speech to utterances with weak valence and arousal (Livingstone and Russo 2018).

A file's name holds seven numbers: modality, channel, emotion, intensity, statement, repetition
and actor, as in `03-01-05-02-01-01-12.wav`.
"""

import re
from pathlib import Path

from handlers.training.datasets.affect.circumplex import PLACES
from handlers.training.datasets.affect.records import Utterance

EMOTIONS = {
    "01": "neutral",
    "02": "calm",
    "03": "happiness",
    "04": "sadness",
    "05": "anger",
    "06": "fear",
    "07": "disgust",
    "08": "surprise",
}
INTENSITIES = {"01": 0.6, "02": 1.0}  # normal and strong, as shares of the emotion's place
SUFFIXES = frozenset({".wav", ".ogg", ".flac", ".mp3"})
NAME = re.compile(r"\d\d-\d\d-(0[1-8])-(0[12])-\d\d-\d\d-(\d\d)")


def read_ravdess(root: Path) -> list[Utterance]:
    """Every utterance below `root`, sorted by path.

    Raises ValueError where there is none.
    """
    found = []
    for path in sorted(root.rglob("*")):
        match = NAME.fullmatch(path.stem)
        if match is None or path.suffix.lower() not in SUFFIXES:
            continue
        emotion = EMOTIONS[match[1]]
        valence, arousal = (INTENSITIES[match[2]] * place for place in PLACES[emotion])
        found.append(Utterance(path, match[3], emotion, valence, arousal))
    if not found:
        raise ValueError(f"{root}: no file named as in RAVDESS below it")
    return found
