"""Questions that wait for the same model go to it together: as many as a call takes."""

import asyncio
from bisect import insort
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass
from functools import partial
from typing import Any

from service.inference import (
    CALL_S,
    LANES,
    QUANTUM,
    AskerHistory,
    Batch,
    FairQueue,
    Load,
    Question,
)
from service.telemetry import REQUEST_ID

MOST_ROWS = {"track": 16}
USUAL_ROWS = 8  # more rows gain little and make all of them wait
MOST_BYTES = 8 * 2**20  # of a call, far below what a worker's message may have
MOST_WORK = LANES[-1]
NOBODY = Load()


@dataclass(frozen=True)
class Row:
    """A question, the id of its request, and for how long its call may be at work.

    `body` is packed for a worker elsewhere, a map for a handler of this process. `lane` is that of
    its call: 0 for usual work, more for larger.
    """

    body: bytes | Mapping[str, Any]
    request_id: str | None
    limit_s: float = 0.0
    lane: int = 0

    @property
    def size(self) -> int:
        """Its share of a message; a map is in none."""
        return len(self.body) if isinstance(self.body, bytes) else 0


@dataclass(frozen=True)
class Reply:
    """A packed answer, and the batch that its question shared, if that is known."""

    body: bytes
    batch: Batch | None


@dataclass(eq=False)
class _Waiting:
    """A question until it is answered; `most` rows may be in its call.

    `start` is its place among those of its lane.
    """

    key: object
    row: Row
    most: int
    load: Load
    start: float
    reply: "asyncio.Future[Reply]"


# Answers rows of one key, one reply a row and in order; what it raises is raised to every asker.
Work = Callable[[Any, Sequence[Row]], Awaitable[Sequence[Reply]]]


def most_rows(model: str, question: Question) -> int:
    """Return the most rows of a call that this question is in.

    One whose answer holds pictures has a call of its own: some of them might exceed a message.
    """
    return 1 if question.options.get("include") else MOST_ROWS.get(model, USUAL_ROWS)


class Gatherer:
    """At most `lanes()` calls are at work; a lane that is free takes what waits, at once.

    Who has had least is next and chooses the key, others of that key go along. While several ask,
    none of them fills a call. Large work has calls of its own, one a kind; it takes a lane of the
    usual work, but never the last, unless it is done `apart` from that anyway. With `ahead` as many
    usual calls again may be sent that are full and gain nothing by waiting here, so that the worker
    need not wait for them.

    One whose asker leaves is dropped while it waits; in a call its reply is thrown away, and a call
    that all have left is cancelled, or where that stops nobody, thrown away as a whole.
    """

    def __init__(
        self,
        work: Work,
        lanes: Callable[[], int] = lambda: 1,
        ahead: bool = False,
        apart: bool = False,
    ) -> None:
        self._work = work
        self._lanes = lanes
        self._ahead = ahead
        self._apart = apart
        self._waiting: list[_Waiting] = []
        self._calls: dict[asyncio.Task[None], list[_Waiting]] = {}
        self._askers = AskerHistory()
        self._queues = [FairQueue() for _ in range(len(LANES) + 1)]

    async def ask(
        self,
        key: object,
        body: bytes | Mapping[str, Any],
        most: int,
        limit_s: float = 0.0,
        load: Load = NOBODY,
    ) -> Reply:
        """Return the reply to one row; raises what its call raised."""
        loop = asyncio.get_running_loop()
        self._askers.note(load.owner)
        lane = self._askers.lane(key, load.owner, load.work)
        start = self._queues[lane].enter(load.owner, load.work)
        row = Row(body, REQUEST_ID.get(), limit_s, lane)
        waiting = _Waiting(key, row, most, load, start, loop.create_future())
        insort(self._waiting, waiting, key=lambda one: one.start)
        # Not yet: whoever asks in the same turn of the loop comes along.
        loop.call_soon(self._fill)
        try:
            return await waiting.reply
        finally:
            if waiting in self._waiting:
                self._waiting.remove(waiting)

    def close(self, error: Exception) -> None:
        """Raise `error` to all that wait; calls at work go on."""
        dropped, self._waiting = self._waiting, []
        for waiting in dropped:
            if not waiting.reply.done():
                waiting.reply.set_exception(error)

    def _fill(self, ended: Sequence[_Waiting] = ()) -> None:
        for lane in range(len(self._queues)):
            while self._start(lane, ended):
                pass

    def _start(self, lane: int, ended: Sequence[_Waiting]) -> bool:
        """Start a call of a lane, if it has one to start; whether it did."""
        waiting = [one for one in self._waiting if one.row.lane == lane]
        free = self._room(lane) - len(self._at_work(lane))
        spare = self._room(lane) if self._ahead and lane == 0 else 0
        if not waiting or free + spare <= 0:
            return False
        taken = self._take(waiting, self._share(waiting, ended))
        if free <= 0 and len(taken) < taken[0].most:
            return False
        self._waiting = [one for one in self._waiting if one not in taken]
        self._queues[lane].serve(max(one.start for one in taken))
        task = asyncio.get_running_loop().create_task(self._run(taken), context=Context())
        self._calls[task] = taken
        task.add_done_callback(self._dropped)
        for one in taken:
            one.reply.add_done_callback(partial(self._leave, task))
        return True

    def _room(self, lane: int) -> int:
        """Return the most calls of a lane that may be at work."""
        lanes = max(1, self._lanes())
        large = sum(call[0].row.lane > 0 for call in self._calls.values())
        if lane == 0:
            return lanes if self._apart else max(1, lanes - large)
        if self._apart or self._at_work(lane):
            return 1
        return int(large < max(1, lanes - 1))

    def _at_work(self, lane: int) -> list[list[_Waiting]]:
        return [call for call in self._calls.values() if call[0].row.lane == lane]

    def _share(self, waiting: Sequence[_Waiting], ended: Sequence[_Waiting]) -> int:
        """Return the most rows of the next call, where it follows the `ended` one.

        Sessions wait for their replies before they ask again. In even groups, one more than there
        are lanes, one group's way out and back is the others' time at work.
        """
        key, lane = waiting[0].key, waiting[0].row.lane
        if not ended or ended[0].key != key or ended[0].row.lane != lane:
            return len(waiting)
        at_work = self._at_work(lane)
        calls = [waiting, ended, *at_work]
        there = sum(one.key == key for call in calls for one in call)
        return -(-there // (len(at_work) + 2))

    def _take(self, waiting: Sequence[_Waiting], share: int) -> list[_Waiting]:
        first, *others = waiting
        taken, size, work = [first], first.row.size, first.load.work
        takes_s = self._expected_s(first)
        brought = Counter({first.load.owner: work})
        for other in others:
            owner, more = other.load.owner, other.load.work
            fits = (
                other.key == first.key
                and len(taken) < min(first.most, other.most, share)
                and size + other.row.size <= MOST_BYTES
                and work + more <= MOST_WORK
                and takes_s + self._expected_s(other) <= CALL_S
            )
            if fits and (brought[owner] + more <= QUANTUM or self._askers.is_alone(owner)):
                taken.append(other)
                size, work = size + other.row.size, work + more
                takes_s += self._expected_s(other)
                brought[owner] += more
        return taken

    def _expected_s(self, waiting: _Waiting) -> float:
        return self._askers.expected_s(waiting.key, waiting.load.owner, waiting.load.work)

    async def _run(self, taken: Sequence[_Waiting]) -> None:
        rows = [waiting.row for waiting in taken]
        REQUEST_ID.set(",".join(row.request_id for row in rows if row.request_id) or None)
        replies: Sequence[Reply | Exception]
        try:
            replies = await self._work(taken[0].key, rows)
            if len(replies) != len(rows):
                raise RuntimeError(f"{len(replies)} replies came for {len(rows)} rows")
        except Exception as error:
            replies = [error] * len(rows)
        self._learn(taken, replies[0])
        # The next call leaves before anybody is busy with what this one has brought.
        if (task := asyncio.current_task()) in self._calls:
            self._ended(task)
        for waiting, reply in zip(taken, replies, strict=True):
            if not waiting.reply.done():
                _answer(waiting.reply, reply)

    def _learn(self, taken: Sequence[_Waiting], reply: Reply | Exception) -> None:
        if isinstance(reply, Reply) and reply.batch is not None:
            loads = [(one.load.owner, one.load.work) for one in taken]
            self._askers.learn(taken[0].key, loads, reply.batch.seconds)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._fill(self._calls.pop(task))

    def _dropped(self, task: "asyncio.Task[None]") -> None:
        """End a call that was cancelled: nobody waits for it, or something stops."""
        if task in self._calls:
            for waiting in self._calls[task]:
                waiting.reply.cancel()
            self._ended(task)

    def _leave(self, task: "asyncio.Task[None]", reply: "asyncio.Future[Reply]") -> None:
        if not reply.cancelled():
            reply.exception()  # seen, also where its asker has just left
        call = self._calls.get(task, [])
        # A worker elsewhere goes on with what it has begun: large work keeps its lane until then.
        if all(one.reply.done() for one in call) and (
            self._apart or not call or not call[0].row.lane
        ):
            task.cancel()


def _answer(future: "asyncio.Future[Reply]", reply: Reply | Exception) -> None:
    if isinstance(reply, Exception):
        future.set_exception(reply)
    else:
        future.set_result(reply)
