"""Estimates and labels to RMSE, COR, CCC and ICC(3,1) (eq. 7.15-7.18), and models' differences.

All four follow from six sums, which add up over groups: a bootstrap over people draws sums. Whole
people are drawn, in all units (folds or seeds) alike; what is compared is the mean over the units.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from handlers.evaluation.affect.clips import Trace, Units, groups_of, joined
from handlers.evaluation.metrics import Interval, draw_groups, finite_mean, interval
from handlers.processing.arrays import Doubles

Floats = NDArray[np.floating]
MEASURES = ("rmse", "cor", "ccc", "icc")
DIMENSIONS = ("valence", "arousal")
CONSTANT = 1e-12  # variances below are rounding; values are in [-1, 1]
AVERAGE, NEITHER = "average", "neither"
COMPARED = (*DIMENSIONS, AVERAGE)


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
        # A frozen dataclass lets itself be completed in no other way.
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
    """Return the six sums of every group: number, x, y, x^2, y^2, xy as `(count, 6)`.

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
    """Turn sums `(..., 6)` into RMSE, COR, CCC, ICC `(..., 4)`.

    A constant estimate agrees with nothing: its COR, CCC and ICC are 0. A constant label, or a
    single pair, leaves nothing to agree with: they are not a number.
    """
    # A group without pairs divides by 0; what comes of it is replaced below.
    with np.errstate(divide="ignore", invalid="ignore"):
        n = totals[..., 0]
        mean_x, mean_y, xx, yy, xy = (totals[..., i] / n for i in range(1, 6))
        var_x, var_y = xx - mean_x**2, yy - mean_y**2
        cov = xy - mean_x * mean_y
        # Where both are alike, rounding may leave a little less than 0.
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
    """Return the mean of each measure over the parts where it is a number."""
    table = np.array([[getattr(part, name) for name in MEASURES] for part in parts])
    return Score(*(finite_mean(column) for column in table.reshape(-1, len(MEASURES)).T))


def mean_agreement(parts: Iterable[Agreement]) -> Agreement:
    """Return the mean over folds or seeds, as the thesis averages; samples add up."""
    found = list(parts)
    return Agreement(
        sum(part.samples for part in found),
        finite_mean(np.array([part.answered for part in found])),
        mean_score([part.valence for part in found]),
        mean_score([part.arousal for part in found]),
    )


@dataclass(frozen=True, slots=True)
class Difference:
    """`first` minus `second` in a measure of valence, arousal or their average.

    `over` says who was drawn (person, actor or clip); there were `groups` of them.
    """

    first: str
    second: str
    measure: str
    dimension: str
    over: str
    groups: int
    interval: Interval

    @property
    def verdict(self) -> str:
        """The better model's name, or `neither` where the interval holds 0 or is none."""
        sign = -1 if self.measure == "rmse" else 1
        if min(sign * self.interval.low, sign * self.interval.high) > 0:
            return self.first
        if max(sign * self.interval.low, sign * self.interval.high) < 0:
            return self.second
        return NEITHER


def kinds_of(traces: Sequence[Trace]) -> tuple[str, ...]:
    """List who can be drawn: the kinds of people that the traces name, or else whole clips."""
    return tuple(dict.fromkeys(kind for trace in traces for kind in trace.people)) or ("clip",)


def differences(
    first: tuple[str, Units],
    second: tuple[str, Units],
    measure: str = "ccc",
    *,
    draws: int = 2_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> list[Difference]:
    """Compare two named models where both have estimates, over every kind of people.

    A kind is what the traces name: person, actor or clip.

    Raises ValueError where both were not run on the same clips.
    """
    (one, all_firsts), (other, all_seconds) = first, second
    firsts, seconds = where_both_answer(all_firsts, all_seconds)
    found = []
    column = MEASURES.index(measure)
    for kind in kinds_of([trace for part in firsts.values() for trace in part]):
        one_table, other_table = _sums(firsts, kind), _sums(seconds, kind)
        people = one_table.shape[2]
        # The first row takes everybody once: it gives the difference itself.
        times = np.vstack([np.ones(people), draw_groups(people, draws, seed)])
        gained = _mean_scores(one_table, times) - _mean_scores(other_table, times)
        for index, dimension in enumerate(COMPARED):
            whole, *drawn = gained[:, index, column]
            bounds = interval(whole, np.array(drawn), confidence)
            found.append(Difference(one, other, measure, dimension, kind, people, bounds))
    return found


def where_both_answer(first: Units, second: Units) -> tuple[Units, Units]:
    """Return the traces of two models without the estimates of moments that one of them passes by.

    Raises ValueError where both were not run on the same clips in the same units.
    """
    names = [{u: [t.clip for t in part] for u, part in units.items()} for units in (first, second)]
    if names[0] != names[1]:
        raise ValueError("only models that were run on the same clips can be compared")

    def shared(units: Units, others: Units) -> Units:
        return {
            unit: [
                replace(one, estimates=np.where(np.isnan(other.estimates), np.nan, one.estimates))
                for one, other in zip(part, others[unit], strict=True)
            ]
            for unit, part in units.items()
        }

    return shared(first, second), shared(second, first)


def _sums(units: Units, kind: str) -> Doubles:
    """Return `(units, dimensions, people, 6)`: everybody's sums in every unit, the same people in
    each."""
    everything = [trace for part in units.values() for trace in part]
    numbers = groups_of(everything, kind)
    people = int(numbers.max()) + 1 if len(numbers) else 0
    found, start = [], 0
    for part in units.values():
        estimates, labels = joined(part)
        here = numbers[start : start + len(labels)]
        start += len(labels)
        found.append([sums(estimates[:, d], labels[:, d], here, people) for d in (0, 1)])
    return np.array(found)


def _mean_scores(table: Doubles, times: Doubles) -> Doubles:
    """Return scores `(draws, 3, 4)` of valence, arousal and their average in the mean of
    the units."""
    totals = np.tensordot(times, table, axes=(1, 2))
    by_dimension = scores(totals).mean(axis=1)
    average = by_dimension.mean(axis=1, keepdims=True)
    return np.concatenate([by_dimension, average], axis=1)
