"""Utterances to Mel levels, each as it is and as several channels bring it, kept in a file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from handlers.processing.arrays import Floats, Halves, Ints
from handlers.processing.mel import BANDS, WINDOW, mel_power
from handlers.training.affect.voices.channels import by_chance, music
from handlers.training.datasets.affect.records import Utterance
from handlers.training.datasets.affect.speech import read_mono

# Each utterance as it is, and so many times by chance.
VERSIONS = 5
PIECES, PIECE_S, PIECES_SEED = 30, 8.0, 5
FLOOR_DB = -140.0


@dataclass(frozen=True, eq=False)
class HeardVoices:
    """Levels in dB `(columns, 128)` of all versions of all utterances, one after the other, and
    where each begins and ends `(utterances, VERSIONS, 2)`."""

    levels: Halves
    places: Ints

    def power(self, utterance: int, version: int) -> Floats:
        """Return power `(128, T)` of all of an utterance in a version."""
        begin, end = self.places[utterance, version]
        levels = np.asarray(self.levels[begin:end], np.float32)
        return np.asarray(10 ** (levels.T / 10), np.float32)

    def window(
        self, utterance: int, version: int, centre: float, stretch: float = 1.0, heard: int = WINDOW
    ) -> Floats:
        """Return power `(128, 128)`, bands first, around a share of the utterance's length; nothing
        lies beyond it and after the first `heard` columns."""
        begin, end = self.places[utterance, version]
        offsets = (np.arange(WINDOW) - WINDOW // 2) * stretch
        columns = begin + np.rint(centre * (end - begin) + offsets).astype(np.int64)
        inside = (columns >= begin) & (columns < end) & (np.arange(WINDOW) < heard)
        window = np.zeros((WINDOW, BANDS), np.float32)
        window[inside] = 10 ** (self.levels[columns[inside]].astype(np.float32) / 10)
        return window.T


def hear_all(utterances: Sequence[Utterance], folder: Path) -> HeardVoices:
    """Return the voices of a list of utterances, from the files of `folder` where they are there.

    What may talk in the background of one are all the others.
    """
    levels_file, places_file = folder / "levels.npy", folder / "places.npy"
    if not places_file.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        levels, places = _hear(utterances)
        np.save(levels_file, levels)
        np.save(places_file, places)
    places = np.load(places_file, allow_pickle=False)
    if len(places) != len(utterances):
        raise ValueError(f"{folder} holds {len(places)} utterances of other data: remove it")
    return HeardVoices(np.load(levels_file, mmap_mode="r", allow_pickle=False), places)


def _hear(utterances: Sequence[Utterance]) -> tuple[Halves, Ints]:
    rng = np.random.default_rng(PIECES_SEED)
    pieces = [music(PIECE_S, rng) for _ in range(PIECES)]
    voices = [read_mono(one.path) for one in utterances]
    heard = []
    for index, voice in enumerate(tqdm(voices, desc="hearing", mininterval=5)):
        for version in range(VERSIONS):
            chance = np.random.default_rng((index, version))
            sent = voice
            if version:
                sent = by_chance(voice.astype(np.float64), chance, voices, pieces)
            power = np.maximum(mel_power(sent).T, 10 ** (FLOOR_DB / 10))
            heard.append((10 * np.log10(power)).astype(np.float16))
    ends = np.cumsum([len(one) for one in heard]).reshape(-1, VERSIONS)
    begins = ends - np.array([len(one) for one in heard]).reshape(-1, VERSIONS)
    return np.concatenate(heard), np.stack([begins, ends], axis=-1)
