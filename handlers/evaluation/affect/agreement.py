"""Estimates and labels to RMSE, COR, CCC and ICC(3,1), for all of them or by group (eq. 7.15-7.18).

All four follow from six sums, which add up over groups: a bootstrap over people draws sums.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Doubles = NDArray[np.float64]

MEASURES = ("rmse", "cor", "ccc", "icc")
DIMENSIONS = ("valence", "arousal")
CONSTANT = 1e-12  # variances below are rounding; values are in [-1, 1]


@dataclass(frozen=True, slots=True)
class Score:
    """Of one dimension: root mean square error, correlation, concordance correlation (Lin 1989),
    intra-class correlation ICC(3,1) (Shrout and Fleiss 1979). Not a number where undefined."""

    rmse: float
    cor: float
    ccc: float
    icc: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of both dimensions over `samples` labelled moments; `answered` is the share of them that
    has an estimate. The scores are over those; `average` is the mean of both dimensions, as the
    columns AVG of the thesis."""

    samples: int
    answered: float
    valence: Score
    arousal: Score
    average: Score = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "average", mean_score([self.valence, self.arousal]))


def agreement(estimates: Floats, labels: Floats) -> Agreement:
    """Agree `(N, 2)` with `(N, 2)`, both in [-1, 1].

    Moments whose label is not a number do not count; those without any estimate count in `answered`
    alone.
    """
    labelled = np.isfinite(labels).all(axis=1)
    answered = labelled & np.isfinite(estimates).any(axis=1)
    samples = int(labelled.sum())
    share = float(answered.sum() / samples) if samples else float("nan")
    valence, arousal = (
        Score(*map(float, scores(sums(estimates[:, d], labels[:, d])[0]))) for d in (0, 1)
    )
    return Agreement(samples, share, valence, arousal)


def sums(
    estimates: Floats, labels: Floats, groups: NDArray[np.intp] | None = None, count: int = 1
) -> Doubles:
    """The six sums of every group: number, x, y, x^2, y^2, xy as `(count, 6)`.

    Args:
        estimates, labels: x and y, `(N,)`; pairs with one that is not a number are left out.
        groups: the group of each pair, `(N,)` in `[0, count)`; without them all are one.
    """
    finite = np.isfinite(estimates) & np.isfinite(labels)
    x, y = estimates[finite].astype(np.float64), labels[finite].astype(np.float64)
    group = np.zeros(len(x), np.intp) if groups is None else groups[finite]
    parts = (np.ones_like(x), x, y, x * x, y * y, x * y)
    columns = [np.bincount(group, part, minlength=count) for part in parts]
    return np.stack(columns, axis=-1).astype(np.float64)


def scores(totals: Doubles) -> Doubles:
    """Sums `(..., 6)` -> RMSE, COR, CCC, ICC `(..., 4)`.

    A constant estimate agrees with nothing: its COR, CCC and ICC are 0. A constant label, or a
    single pair, leaves nothing to agree with: they are not a number.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        n = totals[..., 0]
        mean_x, mean_y, xx, yy, xy = (totals[..., i] / n for i in range(1, 6))
        var_x, var_y = xx - mean_x**2, yy - mean_y**2
        cov = xy - mean_x * mean_y
        rmse = np.sqrt(np.maximum(xx - 2 * xy + yy, 0))
        cor = cov / np.sqrt(var_x * var_y)
        ccc = 2 * cov / (var_x + var_y + (mean_x - mean_y) ** 2)
        icc = 2 * cov / (var_x + var_y)
    undefined = (n < 2) | ~(var_y > CONSTANT)
    silent = var_x <= CONSTANT
    agreeing = [
        np.where(undefined, np.nan, np.where(silent, 0.0, np.clip(value, -1, 1)))
        for value in (cor, ccc, icc)
    ]
    return np.stack([rmse, *agreeing], axis=-1)


def mean_score(parts: Iterable[Score]) -> Score:
    """The mean of each measure over the parts where it is a number."""
    table = np.array([[getattr(part, name) for name in MEASURES] for part in parts])
    return Score(*(_mean(column) for column in table.reshape(-1, len(MEASURES)).T))


def mean_agreement(parts: Iterable[Agreement]) -> Agreement:
    """The mean over folds or seeds, as the thesis averages; samples add up."""
    found = list(parts)
    return Agreement(
        sum(part.samples for part in found),
        _mean(np.array([part.answered for part in found])),
        mean_score([part.valence for part in found]),
        mean_score([part.arousal for part in found]),
    )


def _mean(values: Doubles) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("nan")
