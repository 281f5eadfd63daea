"""Sessions in Redis 6.2 or newer, one hash each: every replica of the service sees the same."""

import hmac
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import quote

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as NoAnswer

from service.errors import ConfigurationError
from service.sessions import (
    Address,
    Outcome,
    Session,
    SessionStore,
    StoreUnavailable,
    check_size,
    measured,
)
from service.telemetry import Metrics

KEY_PREFIX = "countenance"
SCRIPT = Path(__file__).parent / "sessions.lua"
MAX_CONNECTIONS = 32  # at once; further calls wait for one
KNOWN_KEYS = 1000  # of sessions that go on: they are asked for at every frame
PAUSE_S = 1.0  # after a missed answer: frames must not each wait for the next one
MOST_SHOWN, MOST_DIGITS = 200, 32
# Lua, which the script is in, counts exactly up to there.
MOST_STEPS, LATEST_S = 2**53, 1e11
Result = TypeVar("Result")


class RedisStore(SessionStore):
    """Keeps sessions in the Redis at `url`; one that is away is noticed at the next call, not here.

    After an answer that did not come in `timeout_s`, calls fail at once for a second: live sessions
    go on meanwhile and must not stop at every frame to wait. Raises ConfigurationError for a
    `url` that is none.

    What it holds is not believed: each session is sealed with `secret`, and one whose seal does not
    fit is damaged. Of one owner `each` sessions are kept, any number for None.
    """

    kind = "redis"

    def __init__(
        self,
        url: str,
        ttl_s: float,
        max_bytes: int,
        timeout_s: float,
        each: int | None = None,
        secret: bytes = b"",
        metrics: Metrics | None = None,
    ) -> None:
        super().__init__(metrics or Metrics())
        self._each = each or 0
        self._secret = secret
        self._ttl_ms = int(ttl_s * 1000)
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._paused_until = 0.0
        try:
            pool = BlockingConnectionPool.from_url(
                url,
                max_connections=MAX_CONNECTIONS,
                timeout=timeout_s,
                socket_timeout=timeout_s,
                socket_connect_timeout=timeout_s,
                # Its name is of no use to Redis, which would have to let it say so.
                driver_info=None,
                # A connection that Redis has closed meanwhile is replaced by one try; writes may
                # be repeated, see SessionStore.commit.
                retry=Retry(NoBackoff(), 1, (NoConnection,)),
            )
        except ValueError as error:
            raise ConfigurationError(f"COUNTENANCE_REDIS_URL is no address: {error}") from error
        self._redis = Redis.from_pool(pool)
        self._script = self._redis.register_script(SCRIPT.read_text(encoding="utf-8"))

    async def close(self) -> None:
        """Close the connections; the sessions stay."""
        await self._redis.aclose()

    @measured("check")
    async def check(self) -> None:
        """Return when Redis answers; ends the pause after a missed answer."""
        self._paused_until = 0.0
        await self._ask(lambda: cast(Awaitable[Any], self._redis.ping()))

    @measured("connect")
    async def connect(self, address: Address, epoch: str) -> Session:
        session = await self._take_over(address, epoch, begin=True)
        assert session is not None
        return session

    @measured("connect")
    async def resume(self, address: Address, epoch: str) -> Session | None:
        return await self._take_over(address, epoch, begin=False)

    @measured("load")
    async def load(self, address: Address) -> Session | None:
        kind, *values = await self._run("load", address, self._max_bytes)
        return None if kind == b"none" else self._read(address, *values)

    @measured("commit")
    async def commit(self, address: Address, epoch: str, known: int, new: Session) -> Outcome:
        check_size(new, self._max_bytes)
        state, reply = new.state or b"", new.reply or b""
        written = (new.epoch, new.step, state, reply, self._seal(address, new.step, state, reply))
        times = (time.time(), self._ttl_ms, self._each)
        found = await self._run("commit", address, epoch, known, *written, *times)
        return Outcome(found.decode())

    @measured("delete")
    async def delete(self, address: Address) -> bool:
        return bool(await self._run("delete", address))

    async def _take_over(self, address: Address, epoch: str, begin: bool) -> Session | None:
        """Return the session under its new epoch; one that cannot be read begins anew."""
        times = (time.time(), self._ttl_ms, self._each)
        asked = (self._max_bytes, epoch, *times, int(begin))
        kind, *values = await self._run("connect", address, *asked)
        if kind == b"none":
            return None
        found = self._read(address, *values)
        if found.damage is None or found.epoch:
            return found
        await self._ask(lambda: cast(Awaitable[Any], self._redis.delete(_key(address))))
        begun = await self._take_over(address, epoch, begin=True)
        assert begun is not None
        return replace(begun, damage=found.damage)

    def _read(self, address: Address, damage: bytes, *values: bytes | None) -> Session:
        """Return a session of what Redis holds; without an epoch where that is of no use."""
        if not values:
            return Session("", damage=damage.decode())
        try:
            session = _session([value or b"" for value in values[:-1]])
        except ValueError as error:
            return Session("", damage=f"it could not be read ({error})"[:MOST_SHOWN])
        state, reply = session.state or b"", session.reply or b""
        seal = self._seal(address, session.step, state, reply)
        # One that was only connected to has no seal yet, and nothing to be sealed.
        if (state or reply or session.step) and not hmac.compare_digest(seal, values[-1] or b""):
            return Session("", damage="another has written it: its seal does not fit")
        return replace(session, damage=damage.decode() or None)

    def _seal(self, address: Address, step: int, state: bytes, reply: bytes) -> bytes:
        """Return the seal of a step, by which the service knows its own writing."""
        sealed = hmac.new(self._secret, f"{_key(address)} {step} {len(state)} ".encode(), "sha256")
        # The length parts state and reply: bytes cannot move from one to the other.
        sealed.update(state)
        sealed.update(reply)
        return sealed.digest()

    async def _run(self, operation: str, address: Address, *arguments: Any) -> Any:
        """Return what an operation of the script answers."""
        given = (operation, *arguments)
        return await self._ask(lambda: self._script(_keys(address), given))

    async def _ask(self, ask: Callable[[], Awaitable[Result]]) -> Result:
        if (wait_s := self._paused_until - time.monotonic()) > 0:
            raise StoreUnavailable("no answer in time", wait_s)
        try:
            return await ask()
        except NoAnswer as error:
            # Other calls fail at once now: each would wait as long as this one did.
            self._paused_until = time.monotonic() + PAUSE_S
            raise StoreUnavailable("no answer in time", PAUSE_S) from error
        except NoConnection as error:
            raise StoreUnavailable("no connection") from error
        except RedisError as error:
            raise StoreUnavailable(_refusal(error)) from error


@lru_cache(KNOWN_KEYS)
def _key(address: Address) -> str:
    """Return the key of a session; the names of owners and sessions cannot run into each other."""
    # Quoted: a name with a colon in it must not make the key of another.
    parts = (address.model, address.owner, address.name)
    return ":".join((KEY_PREFIX, *(quote(part, safe="") for part in parts)))


def _keys(address: Address) -> list[str]:
    """Return the keys of a session and of the set of all that its owner has."""
    return [_key(address), f"{KEY_PREFIX}::{quote(address.owner, safe='')}"]


def _session(values: Sequence[bytes]) -> Session:
    """Return a session of its fields; raises ValueError for what no service has written."""
    epoch, step, state, reply, created, updated = values
    session = Session(
        epoch.decode("ascii"),
        # Cut: a number of many digits takes long to read, which others could use.
        int(step[:MOST_DIGITS]),
        state or None,
        reply or None,
        float(created[:MOST_DIGITS]),
        float(updated[:MOST_DIGITS]),
    )
    if not 0 < len(epoch) <= MOST_DIGITS:
        raise ValueError(f"an epoch of {len(epoch)} characters")
    if not 0 <= session.step <= MOST_STEPS:
        raise ValueError(f"step {session.step}")
    if not all(0 <= time_s <= LATEST_S for time_s in (session.created_s, session.updated_s)):
        raise ValueError(f"times {session.created_s} and {session.updated_s}")
    return session


def _refusal(error: RedisError) -> str:
    """Say why Redis refused; the text of scripts' errors is for the log."""
    return "they are full" if "OOM" in str(error) else "they refuse to be written"
