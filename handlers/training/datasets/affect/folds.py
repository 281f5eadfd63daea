"""Subject-independent folds: what one person is in, all of them is in (the 5-fold protocol)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


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
