"""Frame times that jump or repeat into increasing ones, at a working rate (in the child)."""

import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

# A packet that lies further back than this begins the next one of joined files.
BACK_S = 0.1
# A time further ahead than this, after which the next one comes back, is damaged.
LEAP_S = 1.0
# Where a format is made for joining (MPEG, Ogg), a leap ahead by more begins the next part, too.
GAP_S = 10.0
# Frames that wait for the next one with a later time; each may take many megabytes.
MOST_HELD = 4
# The least step between two frames.
LEAST_S = 0.001


class Moment(NamedTuple):
    """A decoded frame: its number in the file from 0, and its time in seconds of the clip."""

    number: int
    time_s: float
    frame: Any


class _PacketTimes:
    """One stream of packets: the part that it is in, and where its last two packets lay."""

    def __init__(self) -> None:
        self.part = 0
        self.last_s: float | None = None
        self.before_s: float | None = None

    def go_to(self, time_s: float) -> None:
        self.before_s, self.last_s = self.last_s, time_s


class Parts:
    """Joined files as one: each part's packets are moved behind the end of the part before.

    All streams of a file share the parts, so that pictures and sound stay beside each other.
    """

    def __init__(self, begin_s: float, leaps: bool) -> None:
        self._begin_s, self._leaps = begin_s, leaps
        self._offsets_s = [0.0]
        self._streams: dict[int, _PacketTimes] = {}
        self.end_s = begin_s

    @property
    def joints(self) -> int:
        """The number of new parts that began."""
        return len(self._offsets_s) - 1

    def move(self, packet: Any) -> None:
        """Move a packet to its place; its times stay whole numbers of its own time base."""
        stream = self._streams.setdefault(packet.stream_index, _PacketTimes())
        if packet.dts is not None:
            raw_s = float(packet.dts * packet.time_base)
            self._choose_part(stream, raw_s)
            stream.go_to(raw_s + self._offsets_s[stream.part])
        # The first part keeps its times exactly: rounding starts with the first joint.
        offset = round(self._offsets_s[stream.part] / packet.time_base) if stream.part else 0
        if packet.dts is not None:
            packet.dts += offset
        if packet.pts is not None:
            packet.pts += offset
            end_s = float((packet.pts + (packet.duration or 0)) * packet.time_base)
            self.end_s = max(self.end_s, end_s)

    def _choose_part(self, stream: _PacketTimes, raw_s: float) -> None:
        last_s, time_s = stream.last_s, raw_s + self._offsets_s[stream.part]
        if last_s is None:
            return
        if self._goes_back(stream, raw_s):
            stream.part -= 1
            return
        jumps = time_s < last_s - BACK_S and not _follows(stream.before_s, time_s)
        if jumps or (self._leaps and time_s > last_s + GAP_S):
            self._begin_part(stream, raw_s)

    def _goes_back(self, stream: _PacketTimes, raw_s: float) -> bool:
        """Tell whether only the last packet's time was wrong, so that no new part had begun."""
        if not stream.part:
            return False
        here_s, before_s = (
            self._offsets_s[part] + raw_s for part in (stream.part, stream.part - 1)
        )
        return not _follows(stream.last_s, here_s) and _follows(stream.before_s, before_s)

    def _begin_part(self, stream: _PacketTimes, raw_s: float) -> None:
        """Go to the next part; the first stream to do so says where it lies."""
        stream.part += 1
        if stream.part == len(self._offsets_s):
            # Parts made alike begin alike, whichever of their streams comes first.
            near = self._begin_s <= raw_s < self._begin_s + LEAP_S
            self._offsets_s.append(self.end_s - (self._begin_s if near else raw_s))


def _follows(last_s: float | None, time_s: float) -> bool:
    return last_s is not None and last_s - BACK_S <= time_s <= last_s + LEAP_S


class IncreasingTimes:
    """Moves moments whose time does not come after the one before; `moved` counts them."""

    def __init__(self, step_s: float) -> None:
        self._step_s = step_s
        self.moved = 0

    def run(self, moments: Iterable[Moment]) -> Iterator[Moment]:
        """Yield all moments, those without a time of their own evenly between their neighbours."""
        last_s: float | None = None
        held: list[Moment] = []
        for moment, next_s in _with_next(moments):
            time_s = moment.time_s
            if last_s is None or last_s < time_s <= max(last_s + LEAP_S, next_s):
                yield from self._place(held, last_s or 0.0, time_s)
                held, last_s = [], time_s
                yield moment
                continue
            held.append(moment)
            # No later time came: the held ones go out close together, to free their memory.
            if len(held) == MOST_HELD:
                end_s = last_s + LEAST_S * (len(held) + 1)
                yield from self._place(held, last_s, end_s)
                held, last_s = [], end_s - LEAST_S
        yield from self._place(held, last_s or 0.0, math.inf)

    def _place(self, held: list[Moment], last_s: float, next_s: float) -> Iterator[Moment]:
        step_s = min(self._step_s, (next_s - last_s) / (len(held) + 1))
        self.moved += len(held)
        for number, moment in enumerate(held, 1):
            yield moment._replace(time_s=last_s + number * step_s)


def _with_next(moments: Iterable[Moment]) -> Iterator[tuple[Moment, float]]:
    waiting: Moment | None = None
    for moment in moments:
        if waiting is not None:
            yield waiting, moment.time_s
        waiting = moment
    if waiting is not None:
        yield waiting, math.inf


def sample(moments: Iterable[Moment], rate_hz: float, even: bool) -> Iterator[Moment]:
    """Pass on the moment nearest to each tick, none twice; times increase.

    Ticks are counted from the first moment, so that a source of the same rate passes whole, and
    of a slower one nothing is left out. With `even`, for sources that are faster, the moments
    take the times of their ticks. An infinite rate passes on all.
    """
    if math.isinf(rate_hz):
        yield from moments
        return
    waiting: Moment | None = None
    first_s, tick = 0.0, 0

    def shown(moment: Moment, ticks: range) -> Moment:
        own = round((moment.time_s - first_s) * rate_hz)
        nearest = min(max(own, ticks.start), ticks.stop - 1)
        return moment._replace(time_s=first_s + nearest / rate_hz) if even else moment

    for moment in moments:
        if waiting is None:
            first_s = moment.time_s
        else:
            middle_s = (waiting.time_s + moment.time_s) / 2
            if first_s + tick / rate_hz < middle_s:
                after = math.ceil((middle_s - first_s) * rate_hz)
                yield shown(waiting, range(tick, after))
                tick = after
        waiting = moment
    if waiting is not None and first_s + tick / rate_hz < waiting.time_s + 0.5 / rate_hz:
        yield shown(waiting, range(tick, tick + 1))
