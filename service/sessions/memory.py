"""Sessions in this process's memory: the embedded default, bounded in number, size and time."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace

from service.sessions import Address, Outcome, Session, SessionStore, check_size, measured, now_s
from service.telemetry import Metrics

ENDED = ""  # the epoch of a session that was ended: it refuses the writes of live connections

SWEEP_S = 10.0  # between two looks for what has run out: looking costs time, too


class MemoryStore(SessionStore):
    """Keeps the `most` sessions that were written last, `each` of one owner.

    The oldest of who has most make room. A restart of the process loses them.
    """

    kind = "memory"

    def __init__(
        self,
        ttl_s: float,
        most: int,
        max_bytes: int,
        clock: Callable[[], float] = now_s,
        each: int | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        super().__init__(metrics or Metrics())
        self._ttl_s = ttl_s
        self._most = most
        self._each = most if each is None else each
        self._max_bytes = max_bytes
        self._clock = clock
        self._owners: dict[str, OrderedDict[Address, Session]] = {}  # the oldest write first
        self._swept_s = clock()

    def __len__(self) -> int:
        return sum(map(len, self._owners.values()))

    async def close(self) -> None:
        """Forget everything."""
        self._owners.clear()

    @measured("check")
    async def check(self) -> None:
        """Memory always answers."""

    @measured("connect")
    async def connect(self, address: Address, epoch: str) -> Session:
        """Give the session the new epoch, starting it where there is none; return it."""
        found = self._find_live(address)
        session = Session(epoch) if found is None else replace(found, epoch=epoch)
        return self._keep(address, session)

    @measured("connect")
    async def resume(self, address: Address, epoch: str) -> Session | None:
        """Give the session the new epoch and return it, None where there is none."""
        found = self._find_live(address)
        return None if found is None else self._keep(address, replace(found, epoch=epoch))

    @measured("load")
    async def load(self, address: Address) -> Session | None:
        """Return the session, None where there is none."""
        return self._find_live(address)

    @measured("commit")
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

    @measured("delete")
    async def delete(self, address: Address) -> bool:
        """End the session; whether there was one."""
        found = self._find_live(address)
        if found is not None:
            self._keep(address, Session(ENDED))
        return found is not None

    def _keep(self, address: Address, session: Session) -> Session:
        now = self._clock()
        kept = replace(session, updated_s=now, created_s=session.created_s or now)
        sessions = self._owners.setdefault(address.owner, OrderedDict())
        sessions[address] = kept
        sessions.move_to_end(address)
        self._sweep(now)
        while len(sessions) > self._each:
            ended = (one for one, session in sessions.items() if session.epoch == ENDED)
            del sessions[next(ended, next(iter(sessions)))]
        while len(self) > self._most:
            max(self._owners.values(), key=len).popitem(last=False)
        return kept

    def _sweep(self, now: float) -> None:
        """Forget what has run out, once in a while."""
        if now - self._swept_s < min(SWEEP_S, self._ttl_s):
            return
        self._swept_s = now
        for owner, sessions in list(self._owners.items()):
            while sessions and self._has_run_out(next(iter(sessions.values()))):
                sessions.popitem(last=False)
            if not sessions:
                del self._owners[owner]

    def _find_live(self, address: Address) -> Session | None:
        """Return a session that was not ended, None where there is none."""
        found = self._find(address)
        return None if found is None or found.epoch == ENDED else found

    def _find(self, address: Address) -> Session | None:
        found = self._owners.get(address.owner, OrderedDict()).get(address)
        return None if found is None or self._has_run_out(found) else found

    def _has_run_out(self, session: Session) -> bool:
        return self._clock() - session.updated_s >= self._ttl_s


def _may_write(found: Session, epoch: str, known: int, new: Session) -> bool:
    if (found.epoch, found.step) == (new.epoch, new.step):
        return True
    return found.epoch == epoch and known <= found.step < new.step
