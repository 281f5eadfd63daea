"""Moments at any times -> those nearest to the ticks of a working rate."""

import math
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

# A moment that is further ahead than this, and the next one is not, has a damaged time.
LEAP_S = 1.0


def forwards(moments: Iterable[tuple[float, Item]]) -> Iterator[tuple[float, Item]]:
    """Leave out moments that lie before an earlier one, and single ones that leap ahead."""
    last_s: float | None = None
    leaping: tuple[float, Item] | None = None
    for moment in moments:
        if leaping is not None and moment[0] > leaping[0]:
            yield leaping
            last_s = leaping[0]
        leaping = None
        if last_s is None or last_s < moment[0] <= last_s + LEAP_S:
            yield moment
            last_s = moment[0]
        elif moment[0] > last_s:
            leaping = moment
    if leaping is not None:
        yield leaping


def sample(moments: Iterable[tuple[float, Item]], rate_hz: float) -> Iterator[tuple[float, Item]]:
    """Pass on the moment nearest to each tick, none twice; times in seconds, increasing.

    Ticks are counted from the first moment, so that a source of the same rate passes whole, and
    of a slower one nothing is left out. A moment is passed on when the next one is known.
    """
    waiting: tuple[float, Item] | None = None
    first, tick = 0.0, 0
    for moment in moments:
        if waiting is None:
            first = moment[0]
        else:
            middle = (waiting[0] + moment[0]) / 2
            if first + tick / rate_hz < middle:
                yield waiting
                tick = math.ceil((middle - first) * rate_hz)
        waiting = moment
    if waiting is not None and first + tick / rate_hz < waiting[0] + 0.5 / rate_hz:
        yield waiting
