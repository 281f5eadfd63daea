"""Estimates over time as they are drawn: few points, few columns, round times."""

import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

MOST_POINTS = 800
COLUMNS = 220  # of the attention's picture, at most
STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600)


@dataclass(frozen=True)
class Face:
    """A small picture at a time: a data URL."""

    time_s: float
    url: str


@dataclass
class Timeline:
    """What is drawn, a number a frame; NaN where there is none. Attention is newest first."""

    times_s: "array[float]" = field(default_factory=lambda: array("d"))
    valence: "array[float]" = field(default_factory=lambda: array("f"))
    arousal: "array[float]" = field(default_factory=lambda: array("f"))
    gate: "array[float]" = field(default_factory=lambda: array("f"))
    attention: list["array[float]"] = field(default_factory=list)
    oldest_s: float = 0.0

    def add(
        self,
        time_s: float,
        valence: float | None,
        arousal: float | None,
        gate: float | None,
        attention: Sequence[tuple[float, float]],
    ) -> None:
        """Take one frame; attention is pairs of age in seconds and weight, oldest first."""
        self.times_s.append(time_s)
        for values, value in (
            (self.valence, valence),
            (self.arousal, arousal),
            (self.gate, gate),
        ):
            values.append(math.nan if value is None else value)
        self.attention.append(array("f", [weight for _, weight in reversed(attention)]))
        self.oldest_s = max([self.oldest_s, *(age_s for age_s, _ in attention)])


def thin(times_s: Sequence[float], values: Sequence[float]) -> Iterator[tuple[float, float | None]]:
    """Yield some hundred points at most: means of neighbours, None where none has a value."""
    count = len(times_s)
    size = max(1, math.ceil(count / MOST_POINTS))
    for begin in range(0, count, size):
        group = [value for value in values[begin : begin + size] if not math.isnan(value)]
        middle_s = times_s[min(begin + size // 2, count - 1)]
        yield middle_s, math.fsum(group) / len(group) if group else None


def ticks(begin_s: float, end_s: float) -> list[float]:
    """Return round times between two, about ten of them at most."""
    step_s = next((step for step in STEPS_S if (end_s - begin_s) / step <= 12), STEPS_S[-1])
    first, last = math.ceil(begin_s / step_s - 1e-9), math.floor(end_s / step_s + 1e-9)
    return [round(number * step_s, 6) for number in range(first, last + 1)]


def columns(
    timeline: Timeline, rows: int, end_s: float
) -> Iterator[tuple[float, float, list[float]]]:
    """Yield begin, end and weights of neighbouring moments; 1 is a state's even share."""
    count = len(timeline.times_s)
    size = max(1, math.ceil(count / COLUMNS))
    for begin in range(0, count, size):
        group = timeline.attention[begin : begin + size]
        sums = [
            math.fsum(one[row] * len(one) for one in group if row < len(one)) for row in range(rows)
        ]
        after = begin + size
        until_s = timeline.times_s[after] if after < count else end_s
        yield timeline.times_s[begin], until_s, [total / len(group) for total in sums]


def extent(timeline: Timeline) -> tuple[float, float]:
    """Begin and end in seconds, a tenth apart at least; the last moment lasts as the one before."""
    times_s = timeline.times_s
    if not times_s:
        return 0.0, 1.0
    last_s = times_s[-1] - times_s[-2] if len(times_s) > 1 else 0.0
    return times_s[0], max(times_s[-1] + last_s, times_s[0] + 0.1)
