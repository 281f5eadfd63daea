"""Differences between models with intervals: whole people are drawn, in all folds or seeds alike.

A unit is a fold or a seed. A draw of people gives every model its scores in each unit from the
sums of those people (`agreement.sums`); what is compared is the mean over the units.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from handlers.evaluation.affect.agreement import DIMENSIONS, MEASURES, Doubles, scores, sums
from handlers.evaluation.affect.traces import Trace, Units, groups_of, joined
from handlers.evaluation.metrics import Interval, draw_groups, interval

AVERAGE, NEITHER = "average", "neither"
COMPARED = (*DIMENSIONS, AVERAGE)


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
        times = np.vstack([np.ones(people), draw_groups(people, draws, seed)])
        gained = _mean_scores(one_table, times) - _mean_scores(other_table, times)
        for index, dimension in enumerate(COMPARED):
            whole, *drawn = gained[:, index, column]
            bounds = interval(whole, np.array(drawn), confidence)
            found.append(Difference(one, other, measure, dimension, kind, people, bounds))
    return found


def where_both_answer(first: Units, second: Units) -> tuple[Units, Units]:
    """The traces of two models without the estimates of moments that one of them passes by.

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
    """`(units, dimensions, people, 6)`: everybody's sums in every unit, the same people in each."""
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
    """Scores `(draws, 3, 4)` of valence, arousal and their average in the mean of the units."""
    totals = np.tensordot(times, table, axes=(1, 2))
    by_dimension = scores(totals).mean(axis=1)
    average = by_dimension.mean(axis=1, keepdims=True)
    return np.concatenate([by_dimension, average], axis=1)
