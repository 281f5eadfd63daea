"""Faces with landmarks, and with what a teacher knows of them: irises and facial actions."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from handlers.networks.actions import ACTIONS
from handlers.training.datasets.pts import read_pts

Floats = NDArray[np.float32]


class Labelled(NamedTuple):
    """A picture, its landmarks `(68 or 70, 2)` in its pixels, and actions `(A,)`, or NaN."""

    picture: Path
    points: Floats
    actions: Floats


UNKNOWN = np.full(len(ACTIONS), np.nan, np.float32)


def read_points(folder: Path) -> Iterator[Labelled]:
    """The faces of a folder with `.pts` files. Raises FileNotFoundError where there are none."""
    paths = sorted(folder.rglob("*.pts"))
    if not paths:
        raise FileNotFoundError(f"no .pts file under {folder}")
    for path in paths:
        picture = next(p for s in (".jpg", ".png") if (p := path.with_suffix(s)).exists())
        yield Labelled(picture, read_pts(path), UNKNOWN)


def read_labels(path: Path, folder: Path) -> Iterator[Labelled]:
    """The faces of an `.npz` file, such as a teacher's answers make up.

    It holds `pictures` (names below `folder`), `points` `(N, 70, 2)` (the 68 landmarks and the
    irises, in pixels from 0), `actions` `(N, A)`, and `names`, which ARKit calls those A; what is
    not known is not a number. Raises FileNotFoundError that says what is missing.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"no labels {path}: docs/training-labels.md tells how to make them; without `labels` "
            "a recipe's source learns from .pts files alone"
        )
    with np.load(path, allow_pickle=False) as held:
        names = [str(name) for name in held["names"]]
        order = [names.index(action) for action in ACTIONS]
        rows = zip(held["pictures"], held["points"], held["actions"][:, order], strict=True)
        for picture, points, actions in rows:
            yield Labelled(folder / str(picture), points, actions)
