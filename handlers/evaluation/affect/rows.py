"""The affect models of the thesis's tables, by their names there, and the branches they share."""

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from handlers.checkpoint import load_checkpoint
from handlers.engines.base import Array, Engine, Input
from handlers.predictors.affect.estimator import Estimator
from handlers.predictors.affect.latent import LatentEstimator
from handlers.store import JOINED, has_estimator, load_estimator

ENCODERS = "encode_"
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
    ("face-voice", "avi-gas"),
)


EncoderCache = dict[bytes, dict[str, Array]]  # an encoder's answers by the hash of a crop


class SharingEngine:
    """An engine whose encoders are asked for a crop once; equal crops are given equal answers."""

    def __init__(self, engine: Engine, branches: Mapping[str, EncoderCache]) -> None:
        """Take the memory of each part that has one."""
        self.engine, self.branches = engine, branches
        self.name: str = engine.name
        self.parts: Collection[str] = engine.parts
        self.is_parallel: bool = engine.is_parallel

    def inputs(self, part: str) -> Mapping[str, Input]:
        """Return those of the engine."""
        return self.engine.inputs(part)

    def prepare(self) -> None:
        """Load what the engine loads."""
        self.engine.prepare()

    def run(self, part: str, **inputs: Array) -> dict[str, Array]:
        """Compute a part, an encoder for those crops alone that nobody has shown it."""
        if part not in self.branches:
            return self.engine.run(part, **inputs)
        kept, crops = self.branches[part], inputs["crops"]
        keys = [hashlib.sha256(crop.tobytes()).digest() for crop in crops]
        new = {key: row for row, key in enumerate(keys) if key not in kept}
        if new:
            found = self.engine.run(part, crops=crops[list(new.values())])
            for row, key in enumerate(new):
                kept[key] = {name: one[row] for name, one in found.items()}
        return {name: np.stack([kept[key][name] for key in keys]) for name in kept[keys[0]]}


def share_branches(estimators: Iterable[Estimator]) -> list[EncoderCache]:
    """Let the estimators of chapters 6 and 7 have branches that answer alike in common.

    Estimators are changed in place; returned are the caches, to be cleared for other inputs.
    """
    shared: dict[bytes, EncoderCache] = {}
    for estimator in estimators:
        if not isinstance(estimator, LatentEstimator):
            continue
        engine = estimator.engine
        engine = engine.engine if isinstance(engine, SharingEngine) else engine
        encoders = [part for part in engine.parts if part.startswith(ENCODERS)]
        branches = {part: shared.setdefault(_digest(engine, part), {}) for part in encoders}
        estimator.engine = SharingEngine(engine, branches)
    return list(shared.values())


def _digest(engine: Engine, part: str) -> bytes:
    """Return the hash of what an encoder answers to noise: the same for the same layers and
    weights."""
    shape = [size or 1 for size in engine.inputs(part)["crops"].shape]
    noise = np.random.default_rng(0).uniform(-1, 1, (1, *shape)).astype(np.float32)
    answers = engine.run(part, crops=noise)
    return hashlib.sha256(b"".join(one.tobytes() for one in answers.values())).digest()


def printed(name: str) -> str:
    """Return a row's name as the thesis prints it: `anclaf-sa-8` is ANCLaF-SA-8."""
    match = WINDOWED.fullmatch(name)
    return f"{PRINTED[match[1]]}-{match[2]}" if match else PRINTED[name]


def is_row(name: str) -> bool:
    """Tell whether a name is one of the tables'."""
    return name in PRINTED or WINDOWED.fullmatch(name) is not None


def pairs_among(names: Sequence[str]) -> list[tuple[str, str]]:
    """Return the pairs to compare: `PAIRS`, and of ANCLaF-SA-n and -S-n those of one n."""
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
        """Return the rows that the store has a folder for, in the order of the tables."""
        order = list(PRINTED)

        def place(name: str) -> tuple[int, int]:
            match = WINDOWED.fullmatch(name)
            return (order.index(match[1]), int(match[2])) if match else (order.index(name), 0)

        found = [path.parent.name for path in self.store.glob("*/config.json")]
        found += [name for name in JOINED if has_estimator(self.store / name)]
        return tuple(sorted(filter(is_row, found), key=place))

    def estimator(self, name: str) -> Estimator:
        """Return a row as it is served.

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
