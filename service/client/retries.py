"""How long a client goes on trying: pauses that grow, and an end."""

import asyncio
import time

from websockets.exceptions import InvalidStatus

from service.client.errors import CallError, ProblemError, UnreachableError, handshake_refusal
from service.errors import Problem

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 2.0

# After these the same session goes on at another replica, or a little later at this one.
PASSING = {
    Problem.IDLE,
    Problem.INTERNAL,
    Problem.OVERLOADED,
    Problem.RATE_LIMITED,
    Problem.REPLIES_UNREAD,
    Problem.STOPPING,
    Problem.STORE_UNAVAILABLE,
    Problem.TIMEOUT,
    Problem.UNAVAILABLE,
}


class Retries:
    """Counts failures in a row at `url` and gives up `most_s` seconds after the first of them."""

    def __init__(self, url: str, most_s: float) -> None:
        self._url = url
        self._most_s = most_s
        self._pause_s = 0.0
        self._since: float | None = None

    def succeeded(self) -> None:
        """Note an answer."""
        self._pause_s, self._since = 0.0, None

    def failed(self, error: Exception) -> None:
        """Note a failure; raises CallError where it is final or the last one."""
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        found = self.explain(error)
        final = isinstance(found, ProblemError) and found.problem not in PASSING
        if final or now - self._since + self._pause_s > self._most_s:
            raise found from error

    async def pause(self) -> None:
        """Wait before the next try: not at all, then for longer each time."""
        await asyncio.sleep(self._pause_s)
        self._pause_s = min(2 * self._pause_s or FIRST_PAUSE_S, LONGEST_PAUSE_S)

    def explain(self, error: Exception) -> CallError:
        """What a failure means to the caller."""
        if isinstance(error, CallError):
            return error
        if isinstance(error, InvalidStatus):
            return handshake_refusal(error, self._url)
        said = "no answer in time" if isinstance(error, TimeoutError) else str(error)
        return UnreachableError(f"no answer from {self._url}: {said}")
