"""Sessions in Redis 6.2 or newer, one hash each: every replica of the service sees the same."""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar, cast
from urllib.parse import quote

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as NoAnswer

from service.errors import ConfigurationError
from service.sessions.base import Address, Outcome, Session, StoreUnavailable, check_size, now_s

FIELDS = ("epoch", "step", "state", "reply", "created", "updated")

# epoch, time, time to live (ms) -> the fields
CONNECT = f"""
local key, epoch, now = KEYS[1], ARGV[1], ARGV[2]
if redis.call('EXISTS', key) == 0 or redis.call('HEXISTS', key, 'ended') == 1 then
  redis.call('DEL', key)
  redis.call('HSET', key, 'step', 0, 'state', '', 'reply', '', 'created', now)
end
redis.call('HSET', key, 'epoch', epoch, 'updated', now)
redis.call('PEXPIRE', key, ARGV[3])
return redis.call('HMGET', key, {", ".join(f"'{name}'" for name in FIELDS)})
"""

# the writer's epoch and known step, the new epoch and step, state, reply, time, time to live (ms)
# -> the outcome
COMMIT = """
local key, known, step = KEYS[1], tonumber(ARGV[2]), tonumber(ARGV[4])
local found = redis.call('HMGET', key, 'epoch', 'step')
local at = tonumber(found[2] or -1)
if redis.call('EXISTS', key) == 0 then
  if known > 0 then return 'missing' end
  redis.call('HSET', key, 'created', ARGV[7])
elseif not (found[1] == ARGV[3] and at == step)
  and not (found[1] == ARGV[1] and known <= at and at < step) then
  return 'conflict'
end
redis.call('HSET', key, 'epoch', ARGV[3], 'step', ARGV[4], 'state', ARGV[5], 'reply', ARGV[6],
           'updated', ARGV[7])
redis.call('PEXPIRE', key, ARGV[8])
return 'stored'
"""

# -> 1 where there was a session
DELETE = """
if redis.call('HEXISTS', KEYS[1], 'epoch') == 0 then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'ended', 1)
redis.call('PEXPIRE', KEYS[1], 60000)
return 1
"""
KEY_PREFIX = "countenance"
MAX_CONNECTIONS = 32
PAUSE_S = 1.0
Result = TypeVar("Result")


class RedisStore:
    """Keeps sessions in the Redis at `url`; one that is away is noticed at the next call, not here.

    After an answer that did not come in `timeout_s`, calls fail at once for a second: live sessions
    go on meanwhile and must not stop at every frame to wait. Raises ConfigurationError for a
    `url` that is none.
    """

    kind = "redis"

    def __init__(self, url: str, ttl_s: float, max_bytes: int, timeout_s: float) -> None:
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
        self._connect = self._redis.register_script(CONNECT)
        self._commit = self._redis.register_script(COMMIT)
        self._delete = self._redis.register_script(DELETE)

    async def close(self) -> None:
        """Close the connections; the sessions stay."""
        await self._redis.aclose()

    async def check(self) -> None:
        """Return when Redis answers; ends the pause after a missed answer."""
        self._paused_until = 0.0
        await self._ask(lambda: cast(Awaitable[Any], self._redis.ping()))

    async def connect(self, address: Address, epoch: str) -> Session:
        """Give the session the new epoch, starting it where there is none; return it."""
        arguments = (epoch, now_s(), self._ttl_ms)
        values = await self._ask(lambda: self._connect([_key(address)], arguments))
        return _session(values)

    async def load(self, address: Address) -> Session | None:
        """Return the session, None where there is none."""
        values = await self._ask(
            lambda: cast(Awaitable[Any], self._redis.hmget(_key(address), list(FIELDS)))
        )
        return None if values[0] is None else _session(values)

    async def commit(self, address: Address, epoch: str, known: int, new: Session) -> Outcome:
        """Replace the session where it is what the writer knew; see SessionStore."""
        check_size(new, self._max_bytes)
        arguments = (epoch, known, new.epoch, new.step, new.state or b"", new.reply or b"")
        found = await self._ask(
            lambda: self._commit([_key(address)], (*arguments, now_s(), self._ttl_ms))
        )
        return Outcome(found.decode())

    async def delete(self, address: Address) -> bool:
        """End the session; whether there was one."""
        return bool(await self._ask(lambda: self._delete([_key(address)])))

    async def _ask(self, ask: Callable[[], Awaitable[Result]]) -> Result:
        if (wait_s := self._paused_until - time.monotonic()) > 0:
            raise StoreUnavailable("no answer in time", wait_s)
        try:
            return await ask()
        except NoAnswer as error:
            self._paused_until = time.monotonic() + PAUSE_S
            raise StoreUnavailable("no answer in time", PAUSE_S) from error
        except NoConnection as error:
            raise StoreUnavailable("no connection") from error
        except RedisError as error:
            raise StoreUnavailable(_refusal(error)) from error


def _key(address: Address) -> str:
    """Return the key of a session; the names of owners and sessions cannot run into each other."""
    parts = (address.model, address.owner, address.name)
    return ":".join((KEY_PREFIX, *(quote(part, safe="") for part in parts)))


def _session(values: Sequence[bytes | None]) -> Session:
    epoch, step, state, reply, created, updated = (value or b"" for value in values)
    return Session(
        epoch.decode(), int(step), state or None, reply or None, float(created), float(updated)
    )


def _refusal(error: RedisError) -> str:
    """Say why Redis refused; the text of scripts' errors is for the log."""
    return "they are full" if "OOM" in str(error) else "they refuse to be written"
