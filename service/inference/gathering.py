"""Questions that wait for the same model go to it together: as many as a call takes."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from dataclasses import dataclass
from functools import partial
from typing import Any

from service.inference.base import Batch, Question
from service.telemetry.logs import REQUEST_ID

MOST_ROWS = {"track": 16}
USUAL_ROWS = 8
MOST_BYTES = 8 * 2**20


@dataclass(frozen=True)
class Row:
    """A packed question, the id of its request, and for how long its call may be at work."""

    body: bytes
    request_id: str | None
    limit_s: float = 0.0


@dataclass(frozen=True)
class Reply:
    """A packed answer, and the batch that its question shared, if that is known."""

    body: bytes
    batch: Batch | None


@dataclass(eq=False)
class _Waiting:
    """A question until it is answered; `most` rows may be in its call."""

    key: object
    row: Row
    most: int
    reply: "asyncio.Future[Reply]"


# Answers rows of one key, one reply a row and in order; what it raises is raised to every asker.
Work = Callable[[Any, Sequence[Row]], Awaitable[Sequence[Reply]]]


def most_rows(model: str, question: Question) -> int:
    """How many rows a call may have that this question is in.

    One whose answer holds pictures has a call of its own: some of them might exceed a message.
    """
    return 1 if question.options.get("include") else MOST_ROWS.get(model, USUAL_ROWS)


class Gatherer:
    """At most `lanes()` calls are at work; a lane that is free takes what waits, at once.

    The first that waits chooses the key, others of that key go along. With `ahead` as many calls
    again may be sent that are full and gain nothing by waiting here, so that the worker need not
    wait for them.

    One whose asker leaves is dropped while it waits; in a call its reply is thrown away, and a call
    that all have left is cancelled.
    """

    def __init__(
        self, work: Work, lanes: Callable[[], int] = lambda: 1, ahead: bool = False
    ) -> None:
        self._work = work
        self._lanes = lanes
        self._ahead = ahead
        self._waiting: list[_Waiting] = []
        self._calls: dict[asyncio.Task[None], list[_Waiting]] = {}

    async def ask(self, key: object, body: bytes, most: int, limit_s: float = 0.0) -> Reply:
        """Return the reply to one row; raises what its call raised."""
        loop = asyncio.get_running_loop()
        row = Row(body, REQUEST_ID.get(), limit_s)
        waiting = _Waiting(key, row, most, loop.create_future())
        self._waiting.append(waiting)
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
        lanes = max(1, self._lanes())
        while self._waiting and len(self._calls) < lanes * (1 + self._ahead):
            taken = self._take(self._share(ended))
            if len(self._calls) >= lanes and len(taken) < taken[0].most:
                return
            self._waiting = [waiting for waiting in self._waiting if waiting not in taken]
            task = asyncio.get_running_loop().create_task(self._run(taken), context=Context())
            self._calls[task] = taken
            task.add_done_callback(self._dropped)
            for waiting in taken:
                waiting.reply.add_done_callback(partial(self._leave, task))

    def _share(self, ended: Sequence[_Waiting]) -> int:
        """How many rows the next call takes at most, where it follows the `ended` one.

        Sessions wait for their replies before they ask again. In even groups, one more than there
        are lanes, one group's way out and back is the others' time at work.
        """
        key = self._waiting[0].key
        if not ended or ended[0].key != key:
            return len(self._waiting)
        calls = [self._waiting, ended, *self._calls.values()]
        there = sum(waiting.key == key for call in calls for waiting in call)
        return -(-there // (len(self._calls) + 2))

    def _take(self, share: int) -> list[_Waiting]:
        first, *others = self._waiting
        taken, size = [first], len(first.row.body)
        for other in others:
            most = min(first.most, other.most, share)
            size_with = size + len(other.row.body)
            if other.key == first.key and len(taken) < most and size_with <= MOST_BYTES:
                taken.append(other)
                size = size_with
        return taken

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
        # The next call leaves before anybody is busy with what this one has brought.
        if (task := asyncio.current_task()) in self._calls:
            self._ended(task)
        for waiting, reply in zip(taken, replies, strict=True):
            if not waiting.reply.done():
                _answer(waiting.reply, reply)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._fill(self._calls.pop(task))

    def _dropped(self, task: "asyncio.Task[None]") -> None:
        """The end of a call that was cancelled: nobody waits for it, or something stops."""
        if task in self._calls:
            for waiting in self._calls[task]:
                waiting.reply.cancel()
            self._ended(task)

    def _leave(self, task: "asyncio.Task[None]", reply: "asyncio.Future[Reply]") -> None:
        if not reply.cancelled():
            reply.exception()  # seen, also where its asker has just left
        if all(waiting.reply.done() for waiting in self._calls.get(task, ())):
            task.cancel()


def _answer(future: "asyncio.Future[Reply]", reply: Reply | Exception) -> None:
    if isinstance(reply, Exception):
        future.set_exception(reply)
    else:
        future.set_result(reply)
