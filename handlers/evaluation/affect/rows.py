"""The affect models of the thesis's tables, by the names they have there, from the model store."""

import re
from collections.abc import Sequence
from pathlib import Path

from handlers.checkpoint import load_checkpoint
from handlers.predictors.affect.estimator import Estimator
from handlers.store import JOINED, has_estimator, load_estimator

PRINTED = {
    "disc": "Disc",
    "aeg-cd": "AEG-CD",
    "aeg-cd-sz": "AEG-CD-SZ",
    "anclaf": "ANCLaF",
    "anclaf-s": "ANCLaF-S",
    "anclaf-sa": "ANCLaF-SA",
    "vi": "Vi",
    "vi-de": "Vi-De",
    "vi-des": "Vi-DeS",
    "au": "Au",
    "au-de": "Au-De",
    "au-des": "Au-DeS",
    "avi-cas": "AVi-CaS",
    "avi-gas": "AVi-GaS",
    # Ours, behind those of the thesis.
    "expressions": "Expressions",
    "voice": "Voice",
    "face-voice": "Face and voice",
}
WINDOWED = re.compile(r"(anclaf-sa?)-(\d+)")
# What each is to beat, by the order of the thesis.
PAIRS = (
    ("aeg-cd", "disc"),
    ("aeg-cd-sz", "aeg-cd"),
    ("anclaf-s", "anclaf"),
    ("anclaf-sa", "anclaf-s"),
    ("vi-de", "vi"),
    ("vi-des", "vi-de"),
    ("au-de", "au"),
    ("au-des", "au-de"),
    ("voice", "au-de"),
    ("avi-cas", "vi-des"),
    ("avi-cas", "au-des"),
    ("avi-gas", "avi-cas"),
    ("avi-gas", "vi-des"),
    ("avi-gas", "au-des"),
    ("expressions", "vi-de"),
    ("voice", "au-de"),
    ("face-voice", "avi-gas"),
)


def printed(name: str) -> str:
    """A row's name as the thesis prints it: `anclaf-sa-8` is ANCLaF-SA-8."""
    match = WINDOWED.fullmatch(name)
    return f"{PRINTED[match[1]]}-{match[2]}" if match else PRINTED[name]


def is_row(name: str) -> bool:
    """Whether a name is one of the tables'."""
    return name in PRINTED or WINDOWED.fullmatch(name) is not None


def pairs_among(names: Sequence[str]) -> list[tuple[str, str]]:
    """The pairs to compare: `PAIRS`, and of ANCLaF-SA-n and -S-n those of one n."""
    pairs = list(PAIRS)
    for name in names:
        if match := WINDOWED.fullmatch(name):
            attends = match[1] == "anclaf-sa"
            pairs.append((name, f"anclaf-s-{match[2]}" if attends else "anclaf"))
    return [pair for pair in pairs if set(pair) <= set(names)]


class ModelStore:
    """The variants of one model store; each is loaded when it is asked for, one at a time."""

    def __init__(self, store: Path, device: str = "cpu") -> None:
        self.store, self.device = store, device
        self.weights: dict[str, str] = {}

    def rows(self) -> tuple[str, ...]:
        """The rows that the store has a folder for, in the order of the tables."""
        order = list(PRINTED)

        def place(name: str) -> tuple[int, int]:
            match = WINDOWED.fullmatch(name)
            return (order.index(match[1]), int(match[2])) if match else (order.index(name), 0)

        found = [path.parent.name for path in self.store.glob("*/config.json")]
        found += [name for name in JOINED if has_estimator(self.store / name)]
        return tuple(sorted(filter(is_row, found), key=place))

    def estimator(self, name: str) -> Estimator:
        """A row as it is served.

        Raises CheckpointError for weights that cannot be used, MissingExtra for a library that is
        not there.
        """
        estimator, checkpoint = load_estimator(self.store / name, self.device)
        self.weights[name] = checkpoint.sha256
        return estimator

    def contexts(self, names: Sequence[str]) -> set[float]:
        """Read the widths of crops over the landmarks' box, of the rows that look at a face."""
        folders = {part for name in names for part in JOINED.get(name, (name,))}
        found = (load_checkpoint(self.store / name).config for name in folders)
        return {float(config["context"]) for config in found if "context" in config}
