"""Sessions in this process's memory: the embedded default, bounded in number, size and time."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace

from service.sessions.base import Address, Outcome, Session, check_size, now_s

ENDED = ""  # the epoch of a session that was ended: it refuses the writes of live connections


class MemoryStore:
    """Keeps the `most` sessions that were written last; a restart of the process loses them."""

    kind = "memory"

    def __init__(
        self, ttl_s: float, most: int, max_bytes: int, clock: Callable[[], float] = now_s
    ) -> None:
        self._ttl_s = ttl_s
        self._most = most
        self._max_bytes = max_bytes
        self._clock = clock
        self._sessions: OrderedDict[Address, Session] = OrderedDict()  # the oldest write first

    def __len__(self) -> int:
        return len(self._sessions)

    async def close(self) -> None:
        """Forget everything."""
        self._sessions.clear()

    async def check(self) -> None:
        """Memory always answers."""

    async def connect(self, address: Address, epoch: str) -> Session:
        """Give the session the new epoch, starting it where there is none; return it."""
        found = await self.load(address)
        session = Session(epoch) if found is None else replace(found, epoch=epoch)
        return self._keep(address, session)

    async def load(self, address: Address) -> Session | None:
        """Return the session, None where there is none."""
        found = self._find(address)
        return None if found is None or found.epoch == ENDED else found

    async def commit(self, address: Address, epoch: str, known: int, new: Session) -> Outcome:
        """Replace the session where it is what the writer knew; see SessionStore."""
        check_size(new, self._max_bytes)
        found = self._find(address)
        if found is None and known > 0:
            return Outcome.MISSING
        if found is not None and not _may_write(found, epoch, known, new):
            return Outcome.CONFLICT
        created_s = 0.0 if found is None else found.created_s
        self._keep(address, replace(new, created_s=created_s))
        return Outcome.STORED

    async def delete(self, address: Address) -> bool:
        """End the session; whether there was one."""
        found = await self.load(address)
        if found is not None:
            self._keep(address, Session(ENDED))
        return found is not None

    def _keep(self, address: Address, session: Session) -> Session:
        now = self._clock()
        kept = replace(session, updated_s=now, created_s=session.created_s or now)
        self._sessions[address] = kept
        self._sessions.move_to_end(address)
        while len(self._sessions) > self._most or self._has_run_out(self._oldest()):
            self._sessions.popitem(last=False)
        return kept

    def _find(self, address: Address) -> Session | None:
        found = self._sessions.get(address)
        return None if found is None or self._has_run_out(found) else found

    def _oldest(self) -> Session:
        return next(iter(self._sessions.values()))

    def _has_run_out(self, session: Session) -> bool:
        return self._clock() - session.updated_s >= self._ttl_s


def _may_write(found: Session, epoch: str, known: int, new: Session) -> bool:
    if (found.epoch, found.step) == (new.epoch, new.step):
        return True
    return found.epoch == epoch and known <= found.step < new.step
