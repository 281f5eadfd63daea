"""One question to one host of TorchServe: packed bytes there, packed bytes back, or what failed."""

import io
from enum import Enum

from aiohttp import ClientConnectorError, ClientError, ClientTimeout, ConnectionTimeoutError

from service.errors import Problem, ServiceError
from service.inference.hosts import Host
from service.logs import REQUEST_ID

CONNECT_S = 2.0
RETRY_AFTER_S = 1
LARGE_BODY_BYTES = 2**20
MAX_REASON = 200


class Failure(Enum):
    """Why there is no reply: its name in the log, the client's problem, whether to ask again.

    A model is a function of its input, so that a question may always be repeated.
    """

    REFUSED = "refused", Problem.UNAVAILABLE, True
    RESET = "reset", Problem.UNAVAILABLE, True
    SLOW = "slow", Problem.TIMEOUT, True
    BROKEN = "broken", Problem.UNAVAILABLE, True
    FULL = "full", Problem.OVERLOADED, True
    MISSING = "missing", Problem.UNAVAILABLE, True
    TOO_LARGE = "too large", Problem.BODY_TOO_LARGE, False
    UNEXPECTED = "unexpected", Problem.INTERNAL, False

    def __init__(self, title: str, problem: Problem, repeatable: bool) -> None:
        self.title = title
        self.problem = problem
        self.repeatable = repeatable


STATUSES = {
    404: Failure.MISSING,
    413: Failure.TOO_LARGE,
    500: Failure.BROKEN,
    503: Failure.BROKEN,
    507: Failure.BROKEN,
}
TOLD = {
    Failure.SLOW: "the models did not answer in time",
    Failure.FULL: "the models have too much to do",
    Failure.TOO_LARGE: "the models take no message as large as this",
    Failure.UNEXPECTED: "the models could not be asked",
}


class CallError(Exception):
    """A question without a reply: what kind of failure, and what was seen, for the log."""

    def __init__(self, failure: Failure, reason: str) -> None:
        super().__init__(f"{failure.title}: {reason}")
        self.failure = failure
        self.reason = reason

    @property
    def there(self) -> bool | None:
        """Whether the host has the model, as far as this failure tells."""
        if self.failure in (Failure.REFUSED, Failure.RESET):
            return None
        return self.failure is not Failure.MISSING

    def as_problem(self) -> ServiceError:
        """What the client is told; where the worker is and what it said stays in the log."""
        detail = TOLD.get(self.failure, "the models do not answer")
        headers = {"Retry-After": str(RETRY_AFTER_S)} if self.failure.repeatable else None
        error = ServiceError(self.failure.problem, detail, headers)
        error.add_note(str(self))
        return error


async def call(host: Host, model: str, body: bytes, timeout_s: float) -> bytes:
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


async def _post(host: Host, model: str, body: bytes, timeout_s: float) -> bytes:
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
        return reply
    text = reply[:MAX_REASON].decode("utf-8", "replace")
    failure = STATUSES.get(response.status, Failure.UNEXPECTED)
    if response.status == 503 and "ServiceUnavailableException" in text:
        failure = Failure.FULL
    raise CallError(failure, f"status {response.status}: {' '.join(text.split())}")
