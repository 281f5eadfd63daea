"""Frames that are held back until their stream has gone on for a while."""

from collections import deque

from service.live.mailbox import Arrival

MOST_HELD = 100
MOST_BYTES = 32 * 2**20


class Held:
    """Arrivals in order: a frame that is not due yet, and what came behind it; bounded."""

    def __init__(self) -> None:
        self._arrivals: deque[Arrival] = deque()
        self._bytes = 0

    def put(self, arrival: Arrival) -> None:
        """Add the latest arrival."""
        self._arrivals.append(arrival)
        self._bytes += len(arrival.data)

    def take(self, due_s: float) -> list[Arrival]:
        """Remove what may be answered, frames up to a time of theirs; of too many the oldest."""
        taken = []
        while self._arrivals and (self._is_full or _is_due(self._arrivals[0], due_s)):
            taken.append(self._arrivals.popleft())
            self._bytes -= len(taken[-1].data)
        return taken

    @property
    def _is_full(self) -> bool:
        return len(self._arrivals) > MOST_HELD or self._bytes > MOST_BYTES


def _is_due(arrival: Arrival, due_s: float) -> bool:
    return not arrival.is_frame or arrival.time_s is None or arrival.time_s <= due_s
