"""Names of layouts to the readers of annotated recordings, and the folds of who is in them."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handlers.training.datasets.affect.recordings import (
    read_afew_va,
    read_aff_wild2,
    read_recola,
    read_semaine,
    read_sewa,
)
from handlers.training.datasets.affect.records import Recording

Indices = NDArray[np.int64]
AFFECTNET, AFF_WILD2 = "affectnet", "aff-wild2"
FOLDS = 5
Reader = Callable[[Path], list[Recording]]
# Aff-Wild2 comes in parts: what is learnt from is not what is measured on.
RECORDED: Mapping[str, Reader] = {
    "sewa": read_sewa,
    "semaine": read_semaine,
    "afew-va": read_afew_va,
    AFF_WILD2: read_aff_wild2,
    "recola": read_recola,
}
MEASURED: Mapping[str, Reader] = {
    **RECORDED,
    AFF_WILD2: partial(read_aff_wild2, part="Validation_Set"),
}


def subject_folds(people: Sequence[str], count: int = 5, seed: int = 0) -> list[Indices]:
    """Places of the samples of each fold, every sample in one, nobody in two.

    People are dealt out from those with most samples on, each to the fold with fewest so far;
    `seed` decides among equals. Raises ValueError for fewer people than folds.
    """
    names, owner = np.unique(np.asarray(people, dtype=str), return_inverse=True)
    if len(names) < count:
        raise ValueError(f"{len(names)} people cannot be dealt out to {count} folds")
    sizes = np.bincount(owner)
    shuffled = np.random.default_rng(seed).permutation(len(names))
    order = shuffled[np.argsort(-sizes[shuffled], kind="stable")]
    fold_of, filled = np.zeros(len(names), np.int64), np.zeros(count, np.int64)
    for person in order:
        fold = int(np.argmin(filled))
        fold_of[person] = fold
        filled[fold] += sizes[person]
    return [np.flatnonzero(fold_of[owner] == fold) for fold in range(count)]


def folds_of(recordings: Sequence[Recording], count: int = FOLDS) -> list[Indices]:
    """Places of the recordings of each fold, the same for training and evaluation.

    Raises ValueError for fewer people than folds.
    """
    return subject_folds([one.person for one in recordings], count)
