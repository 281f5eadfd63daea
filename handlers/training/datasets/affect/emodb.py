"""EMO-DB, German acted speech, to utterances with weak valence and arousal (Burkhardt et al. 2005).

A file's name holds speaker, sentence, emotion and version, as in `03a01Fa.wav`.
"""

import re
from pathlib import Path

from handlers.training.datasets.affect.circumplex import PLACES
from handlers.training.datasets.affect.ravdess import SUFFIXES
from handlers.training.datasets.affect.records import Utterance

EMOTIONS = {
    "W": "anger",
    "L": "boredom",
    "E": "disgust",
    "A": "fear",
    "F": "happiness",
    "T": "sadness",
    "N": "neutral",
}
# The set does not say how strong an emotion was to be: the mean of RAVDESS's two intensities.
INTENSITY = 0.8
NAME = re.compile(r"(\d\d)[ab]\d\d([WLEAFTN])[a-g]")


def read_emodb(root: Path) -> list[Utterance]:
    """Every utterance below `root`, sorted by path. Raises ValueError where there is none."""
    found = []
    for path in sorted(root.rglob("*")):
        match = NAME.fullmatch(path.stem)
        if match is None or path.suffix.lower() not in SUFFIXES:
            continue
        emotion = EMOTIONS[match[2]]
        valence, arousal = (INTENSITY * place for place in PLACES[emotion])
        found.append(Utterance(path, match[1], emotion, valence, arousal))
    if not found:
        raise ValueError(f"{root}: no file named as in EMO-DB below it")
    return found
