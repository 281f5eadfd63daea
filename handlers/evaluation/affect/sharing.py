"""Networks that have branches in common: what a branch makes of an input is made once."""

import hashlib
from collections.abc import Collection, Iterable, Mapping

import numpy as np

from handlers.engines.base import Array, Engine, Input
from handlers.predictors.affect.estimator import Estimator
from handlers.predictors.affect.latent import LatentEstimator

ENCODERS = "encode_"


class EncoderCache:
    """An encoder's answers by the hash of a crop, until `forget`."""

    def __init__(self) -> None:
        self.kept: dict[bytes, dict[str, Array]] = {}

    def forget(self) -> None:
        """Make room for other inputs."""
        self.kept.clear()


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
        kept, crops = self.branches[part].kept, inputs["crops"]
        keys = [hashlib.sha256(crop.tobytes()).digest() for crop in crops]
        new = {key: row for row, key in enumerate(keys) if key not in kept}
        if new:
            found = self.engine.run(part, crops=crops[list(new.values())])
            for row, key in enumerate(new):
                kept[key] = {name: one[row] for name, one in found.items()}
        return {name: np.stack([kept[key][name] for key in keys]) for name in kept[keys[0]]}


def share_branches(estimators: Iterable[Estimator]) -> list[EncoderCache]:
    """Let the estimators of chapters 6 and 7 have branches that answer alike in common.

    Estimators are changed in place; returned is whoever has to be told to forget.
    """
    shared: dict[bytes, EncoderCache] = {}
    for estimator in estimators:
        if not isinstance(estimator, LatentEstimator):
            continue
        engine = estimator.engine
        engine = engine.engine if isinstance(engine, SharingEngine) else engine
        encoders = [part for part in engine.parts if part.startswith(ENCODERS)]
        branches = {
            part: shared.setdefault(_digest(engine, part), EncoderCache()) for part in encoders
        }
        estimator.engine = SharingEngine(engine, branches)
    return list(shared.values())


def _digest(engine: Engine, part: str) -> bytes:
    """The hash of what an encoder answers to noise: the same for the same layers and weights."""
    shape = [size or 1 for size in engine.inputs(part)["crops"].shape]
    noise = np.random.default_rng(0).uniform(-1, 1, (1, *shape)).astype(np.float32)
    answers = engine.run(part, crops=noise)
    return hashlib.sha256(b"".join(one.tobytes() for one in answers.values())).digest()
