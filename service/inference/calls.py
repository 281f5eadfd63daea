"""One question to one host of TorchServe: packed bytes there, packed bytes back, or what failed."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from aiohttp import ClientConnectorError, ClientError, ClientTimeout, ConnectionTimeoutError

from service.errors import Problem, ServiceError
from service.inference.base import Batch
from service.inference.hosts import Host
from service.logs import REQUEST_ID

CONNECT_S = 2.0
RETRY_AFTER_S = 1
LARGE_BODY_BYTES = 2**20
MAX_REASON = 200


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


@dataclass(frozen=True)
class Reply:
    """What a worker sent, and the batch that the question shared, if it says."""

    body: bytes
    batch: Batch | None


class CallError(Exception):
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
        """What the client is told."""
        headers = {"Retry-After": str(RETRY_AFTER_S)} if self.failure.repeatable else None
        error = ServiceError(self.failure.problem, self.told, headers)
        error.add_note(str(self))
        return error


async def call(host: Host, model: str, body: bytes, timeout_s: float) -> Reply:
    """Return the reply to `body`; raises CallError.

    When the caller is cancelled the connection is closed, and the reply, if any, is thrown away.
    """
    host.in_flight += 1
    try:
        return await _post(host, model, body, timeout_s)
    except (ClientConnectorError, ConnectionTimeoutError) as error:
        raise CallError(Failure.REFUSED, str(error)) from error
    except TimeoutError as error:
        raise CallError(Failure.SLOW, f"no reply within {timeout_s:.1f} s") from error
    except (ClientError, OSError) as error:
        raise CallError(Failure.RESET, str(error) or type(error).__name__) from error
    finally:
        host.in_flight -= 1


async def _post(host: Host, model: str, body: bytes, timeout_s: float) -> Reply:
    headers = {"Content-Type": "application/msgpack"}
    if (request_id := REQUEST_ID.get()) is not None:
        headers["X-Request-ID"] = request_id
    async with host.session.post(
        f"{host.base}/predictions/{model}",
        data=body if len(body) <= LARGE_BODY_BYTES else io.BytesIO(body),
        headers=headers,
        timeout=ClientTimeout(total=timeout_s, sock_connect=min(CONNECT_S, timeout_s)),
        allow_redirects=False,
    ) as response:
        reply = await response.read()
    if response.status == 200:
        return Reply(reply, _batch(response.headers))
    text = reply[:MAX_REASON].decode("utf-8", "replace")
    failure = STATUSES.get(response.status, Failure.UNEXPECTED)
    if response.status == 503 and "ServiceUnavailableException" in text:
        failure = Failure.FULL
    raise CallError(failure, f"status {response.status}: {' '.join(text.split())}")


def _batch(headers: Mapping[str, str]) -> Batch | None:
    rows, milliseconds = headers.get("X-Batch-Rows"), headers.get("X-Batch-Milliseconds")
    if rows is None or milliseconds is None:
        return None
    return Batch(int(rows), float(milliseconds) / 1000)
