"""One message to one host of TorchServe: packed bytes there, packed bytes back, or what failed."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from enum import Enum

import msgpack
from aiohttp import ClientConnectorError, ClientError, ClientTimeout, ConnectionTimeoutError

from service.errors import Problem, ServiceError
from service.inference import Batch, unpack_map
from service.inference.gathering import Reply, Row
from service.inference.remote.pool import Host

CONNECT_S = 2.0  # a worker that is there accepts at once
RETRY_AFTER_S = 1  # soon: another worker, or this one once restarted, may answer
PIECE_BYTES = 2**18
MAX_REASON = 200  # characters of a worker's error: it may hold a traceback


class Failure(Enum):
    """Why there is no reply: in words, the client's problem, and whether to ask again.

    A model is a function of its input, so that a question may always be repeated.
    """

    REFUSED = "the worker cannot be reached", Problem.UNAVAILABLE, True
    RESET = "the worker closed the connection", Problem.UNAVAILABLE, True
    SLOW = "the worker did not answer in time", Problem.TIMEOUT, True
    BROKEN = "the worker failed", Problem.UNAVAILABLE, True
    FULL = "the worker has too much to do", Problem.OVERLOADED, True
    MISSING = "the worker does not have the model", Problem.UNAVAILABLE, True
    TOO_LARGE = "the worker takes no message as large", Problem.BODY_TOO_LARGE, False
    UNEXPECTED = "the worker did not understand", Problem.INTERNAL, False

    def __init__(self, told: str, problem: Problem, repeatable: bool) -> None:
        self.told = told
        self.problem = problem
        self.repeatable = repeatable


STATUSES = {
    404: Failure.MISSING,
    413: Failure.TOO_LARGE,
    500: Failure.BROKEN,
    503: Failure.BROKEN,
    507: Failure.BROKEN,
}


class WorkerError(Exception):
    """A question without a reply: what kind of failure, and what was seen.

    `told` is for everybody: it speaks of no address, unlike `seen`, which is for the log.
    """

    def __init__(self, failure: Failure, seen: str, told: str | None = None) -> None:
        super().__init__(f"{failure.told}: {seen}")
        self.failure = failure
        self.told = told or failure.told

    @property
    def there(self) -> bool | None:
        """Whether the host has the model, as far as this failure tells."""
        if self.failure in (Failure.REFUSED, Failure.RESET):
            return None
        return self.failure is not Failure.MISSING

    def as_problem(self) -> ServiceError:
        """Return the error for the client."""
        headers = {"Retry-After": str(RETRY_AFTER_S)} if self.failure.repeatable else None
        error = ServiceError(self.failure.problem, self.told, headers)
        error.add_note(str(self))
        return error


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[None]:
    """Bound the wait for a reply; raises WorkerError."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise WorkerError(Failure.SLOW, f"no reply within {seconds:.1f} s") from error


async def call_rows(host: Host, model: str, rows: Sequence[Row]) -> list[Reply]:
    """Return the reply to each row; raises WorkerError, and ServiceError for a reply that is none.

    It may take as long as the longest limit of its rows. A failure counts once for the model at
    this host, however many rows the call had.
    """
    try:
        async with within(max(row.limit_s for row in rows)):
            reply = await call(host, model, pack_rows(rows))
    except WorkerError as error:
        if error.failure is not Failure.TOO_LARGE:
            host.health(model).failed(error.told, error.there)
        raise
    return unpack_replies(reply, len(rows))


async def call(host: Host, model: str, body: bytes) -> bytes:
    """Return the reply to `body`, which may take any time; raises WorkerError.

    When the caller is cancelled the connection is closed, and the reply, if any, is thrown away.
    """
    try:
        return await _post(host, model, body)
    except (ClientConnectorError, ConnectionTimeoutError) as error:
        raise WorkerError(Failure.REFUSED, str(error)) from error
    except (ClientError, OSError) as error:
        raise WorkerError(Failure.RESET, str(error) or type(error).__name__) from error


async def _post(host: Host, model: str, body: bytes) -> bytes:
    async with host.session.post(
        f"{host.base}/predictions/{model}",
        data=_pieces(body),
        # Of pieces alone aiohttp would not tell how many bytes come.
        headers={"Content-Type": "application/msgpack", "Content-Length": str(len(body))},
        # The whole is bounded by who asks.
        timeout=ClientTimeout(total=None, sock_connect=CONNECT_S),
        allow_redirects=False,
    ) as response:
        reply = await response.read()
    if response.status == 200:
        return reply
    text = reply[:MAX_REASON].decode("utf-8", "replace")
    failure = STATUSES.get(response.status, Failure.UNEXPECTED)
    # TorchServe has one status for a full queue and a broken worker: the text tells them apart.
    if response.status == 503 and "ServiceUnavailableException" in text:
        failure = Failure.FULL
    raise WorkerError(failure, f"status {response.status}: {' '.join(text.split())}")


async def _pieces(body: bytes) -> AsyncIterator[memoryview]:
    """Yield a large body in pieces: the event loop gets a turn between two of them."""
    view = memoryview(body)
    for start in range(0, len(body), PIECE_BYTES):
        yield view[start : start + PIECE_BYTES]


def pack_rows(rows: Sequence[Row]) -> bytes:
    """Write a call to a worker: `{"rows": [bytes], "request_ids": [str?]}`, as many of both."""
    message = {
        "rows": [row.body for row in rows],
        "request_ids": [row.request_id for row in rows],
    }
    return bytes(msgpack.packb(message))


def unpack_replies(reply: bytes, rows: int) -> list[Reply]:
    """Read `{"replies": [bytes], "milliseconds": float}`, a reply to each of the rows.

    An error in place of the replies is that of every row. Raises ServiceError for anything else.
    """
    message = unpack_map(reply)
    if "error" in message:
        return [Reply(reply, None)] * rows
    replies, milliseconds = message.get("replies"), message.get("milliseconds")
    if not isinstance(replies, list) or len(replies) != rows or not isinstance(milliseconds, float):
        raise ServiceError(Problem.INTERNAL, "the worker's reply does not fit what it was asked")
    batch = Batch(rows, milliseconds / 1000)
    return [Reply(each, batch) for each in replies]
