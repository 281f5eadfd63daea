"""Whose question is next: askers in turn by the work that they bring, large work apart.

Work is counted in pixels: those of a picture, more where small faces are searched for, and a
constant for what every picture costs besides. It need not be exact; what turns out slower than it
looked is learned from the time that it took.
"""

import asyncio
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

# A lane takes work up to its bound, the last one all the rest: a face in a camera's picture waits
# for no photograph, a photograph for no panorama.
LANES = (3_000_000, 24_000_000)
LANES_S = (0.3, 1.5)
PICTURE_WORK, BOX_WORK = 300_000, 150_000
SMALL_FACE_PX = 12
# What an asker may bring into one call while others ask too.
QUANTUM = 3_000_000
ABOUT_S = 1.0
REMEMBERED = 1000


def picture_work(pixels: int, min_face_px: float, boxes: int = 0) -> int:
    """Return about how much work a picture is in which faces are searched for or given."""
    search = 4 * (SMALL_FACE_PX / max(min_face_px, SMALL_FACE_PX)) ** 2
    return PICTURE_WORK + round(pixels * (1 + search)) + boxes * BOX_WORK


class Turns:
    """Start-time fair queueing: who has had less goes first, who was away has saved nothing."""

    def __init__(self) -> None:
        self._now = 0.0
        self._ends: dict[str, float] = {}

    def enter(self, owner: str, work: int) -> float:
        """Return the place of new work of `owner`; the least of all that wait is next."""
        self._ends = {name: end for name, end in self._ends.items() if end > self._now}
        start = max(self._now, self._ends.get(owner, 0.0))
        self._ends[owner] = start + work
        return start

    def serve(self, start: float) -> None:
        """Take the work at this place."""
        self._now = max(self._now, start)


class Askers:
    """What is known of those who ask: when they last did, and how fast their work goes."""

    def __init__(self) -> None:
        self._asked_s: OrderedDict[str, float] = OrderedDict()
        self._s_per_work: OrderedDict[tuple[object, str], float] = OrderedDict()

    def note(self, owner: str) -> None:
        """Say that `owner` asks now."""
        _put(self._asked_s, owner, asyncio.get_running_loop().time())

    def learn(self, key: object, loads: Iterable[tuple[str, int]], seconds: float) -> None:
        """Note how long a call of `key` took that did this work, by owner and amount."""
        loads = list(loads)
        rate = seconds / max(1, sum(work for _, work in loads))
        for owner in {owner for owner, _ in loads}:
            known = self._s_per_work.get((key, owner), rate)
            _put(self._s_per_work, (key, owner), (known + rate) / 2)

    def lane(self, key: object, owner: str, work: int) -> int:
        """Return the lane of new work, by its amount and by how long such work took before."""
        expected_s = work * self._s_per_work.get((key, owner), 0.0)
        return max(bisect_left(LANES, work), bisect_left(LANES_S, expected_s))

    def is_alone(self, owner: str) -> bool:
        """Whether nobody else has asked lately."""
        since_s = asyncio.get_running_loop().time() - ABOUT_S
        return not any(
            name != owner and asked_s > since_s for name, asked_s in self._asked_s.items()
        )


def _put(known: "OrderedDict[Any, float]", name: Any, value: float) -> None:
    """Remember a value, and forget the one that was not renewed for the longest time."""
    known[name] = value
    known.move_to_end(name)
    if len(known) > REMEMBERED:
        known.popitem(last=False)
