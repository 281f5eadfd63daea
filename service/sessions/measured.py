"""A session store whose every operation is timed, and whose comings and goings are logged."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from service.sessions import Address, Outcome, Session, SessionStore, StoreUnavailable
from service.telemetry import Metrics, fields

logger = logging.getLogger(__name__)


class MeasuredStore:
    """Passes everything on to another store."""

    def __init__(self, store: SessionStore, metrics: Metrics) -> None:
        self._store = store
        self._metrics = metrics
        self._reason: str | None = None

    @property
    def kind(self) -> str:
        """What the other store is."""
        return self._store.kind

    async def close(self) -> None:
        """Let go of everything."""
        await self._store.close()

    async def check(self) -> None:
        """Return when the store answers."""
        with self._measured("check"):
            await self._store.check()

    async def connect(self, address: Address, epoch: str) -> Session:
        """Give the session the new epoch, starting it where there is none; return it."""
        with self._measured("connect"):
            return await self._store.connect(address, epoch)

    async def resume(self, address: Address, epoch: str) -> Session | None:
        """Give the session the new epoch and return it, None where there is none."""
        with self._measured("connect"):
            return await self._store.resume(address, epoch)

    async def load(self, address: Address) -> Session | None:
        """Return the session, None where there is none."""
        with self._measured("load"):
            return await self._store.load(address)

    async def commit(self, address: Address, epoch: str, known: int, new: Session) -> Outcome:
        """Replace the session where it is what the writer knew; see SessionStore."""
        with self._measured("commit"):
            return await self._store.commit(address, epoch, known, new)

    async def delete(self, address: Address) -> bool:
        """End the session; whether there was one."""
        with self._measured("delete"):
            return await self._store.delete(address)

    @contextmanager
    def _measured(self, operation: str) -> Iterator[None]:
        started, outcome = time.perf_counter(), "failed"
        try:
            yield
            outcome = "answered"
            self._note(None)
        except StoreUnavailable as error:
            self._note(error)
            raise
        finally:
            seconds = time.perf_counter() - started
            self._metrics.store.labels(operation, outcome).observe(seconds)

    def _note(self, error: StoreUnavailable | None) -> None:
        """Log when the store goes and when it is back, not every failure in between."""
        reason = None if error is None else error.reason
        if reason == self._reason:
            return
        self._reason = reason
        if error is None:
            logger.info("sessions can be reached again", extra=fields(store=self.kind))
            return
        known = fields(store=self.kind, reason=reason, error=str(error.__cause__))
        logger.warning("sessions cannot be reached", extra=known)
