"""Authentication: API keys into principals, each key with its own rate limits.

`python -m service.security NAME` makes a key for the principal NAME and the entry for the file.
"""

import asyncio
import logging
import math
import secrets
import sys
import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from starlette.requests import HTTPConnection

from service.errors import ConfigurationError, Problem, ServiceError
from service.keys import (
    TOKEN_PREFIX,
    Grant,
    KeyEntry,
    find_key,
    is_signed,
    load_keys,
    new_key,
    read_grant,
    sign,
)
from service.settings import SECRET_BYTES, Settings
from service.telemetry import fields

BURST_S = 10.0  # of a rate, at once: a page loads many pictures together
KEY_SUBPROTOCOL = "bearer."  # for browsers, whose sockets cannot set headers
LOOK_S = 1.0  # between two looks at the keys file: a revoked key works no longer than this
logger = logging.getLogger(__name__)


class Bucket:
    """A token bucket: `burst_s` seconds' worth at once, then a steady rate.

    Its contents are kept as a time: until when all that came would have taken at the rate.
    """

    def __init__(
        self, rate_hz: float, burst_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate_hz = rate_hz
        self._burst_s = burst_s
        self._clock = clock
        self._paid_s = clock() - burst_s

    def wait_s(self, count: float = 0) -> float:
        """Return the seconds until `count` more are paid for, 0 if they are; 0 for what is owed."""
        paid_s = max(self._paid_s, self._clock() - self._burst_s)
        return max(0.0, paid_s + count / self._rate_hz - self._clock())

    async def wait(self) -> None:
        """Return when nothing is owed any more."""
        if (seconds := self.wait_s()) > 0:
            await asyncio.sleep(seconds)

    def take(self, count: float = 1) -> None:
        """Count so many; more than there are is owed for."""
        self._paid_s = max(self._paid_s, self._clock() - self._burst_s) + count / self._rate_hz


class Meter(Bucket):
    """Meter of what one key sends: ten seconds' worth at once, then `per_minute` of `what`.

    What has begun is let through and owed for: nobody knows how long a body will be.
    """

    def __init__(
        self, per_minute: int, what: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        # One at least, also of a rate that ten seconds are too short for.
        super().__init__(per_minute / 60, max(BURST_S, 60 / per_minute), clock)
        self.per_minute = per_minute
        self._what = what

    def check(self, count: float = 0) -> None:
        """Raise ServiceError with Retry-After where `count` more are too many."""
        if (seconds := self.wait_s(count)) > 0:
            wait_s = math.ceil(seconds)
            raise ServiceError(
                Problem.RATE_LIMITED,
                f"this key may send {self.per_minute} {self._what} a minute; wait {wait_s} s",
                headers={"Retry-After": str(wait_s)},
            )


@dataclass(frozen=True)
class Principal:
    """The asker; several keys may stand for one principal, and sessions belong to the principal.

    `meter` counts the bytes that the key sends, `pixels` what is decoded of them; `max_sockets` is
    the most that may be open while this key opens one, the setting's where None.
    """

    name: str
    key_id: str | None = None
    meter: Meter | None = field(default=None, compare=False)
    max_sockets: int | None = None
    pixels: Meter | None = field(default=None, compare=False)

    async def count_pixels(self, pixels: int) -> None:
        """Count pixels that are to be decoded, once those before are paid for."""
        if self.pixels is not None:
            await self.pixels.wait()
            self.pixels.take(pixels)


ANONYMOUS = Principal("anonymous")


# The sender of the request or the socket that is served in this context.
CALLER: ContextVar[Principal] = ContextVar("caller", default=ANONYMOUS)


class Authenticator:
    """Tells principals by the key they send; without a keys file everybody is anonymous.

    A keys file that has changed is read again; where it is wrong, the keys before it stay, where it
    is empty or gone, none is valid.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        """Read the keys that `settings` name; raises ConfigurationError."""
        self._settings = settings
        self._clock = clock
        self._now_s = time.time
        self._looked_s = clock()
        self._stamp: tuple[int, int] | None = None
        self._keys: Sequence[KeyEntry] | None = None
        self._meters: dict[str, Meters] = {}
        self._secret = settings.read_secret() or secrets.token_bytes(SECRET_BYTES)
        if (path := settings.api_keys_file) is not None:
            self._stamp = _stamp(path)
            self._take(load_keys(path))
            if not self._keys:
                raise ConfigurationError(f"the keys file {path} has no key")

    @property
    def required(self) -> bool:
        """Whether a key is needed."""
        return self._keys is not None

    def authenticate(self, connection: HTTPConnection) -> Principal:
        """Return who asks, for requests and sockets alike, counting towards the key's rate.

        Raises ServiceError when a key is missing, unknown, or has asked too often or sent too much.
        """
        self._look_again()
        if self._keys is None:
            return ANONYMOUS
        if not (sent := sent_key(connection)):
            raise _unauthenticated("send the key as `Authorization: Bearer <key>`")
        entry = self._of_token(sent, connection) if sent.startswith(TOKEN_PREFIX) else None
        entry = entry or find_key(self._keys, sent)
        if entry is None:
            raise _unauthenticated("the key is not known here")
        meters = self._meters[entry.id]
        meters.requests.check(1)
        meters.requests.take()
        meters.bytes.check()
        meters.pixels.check()
        return Principal(entry.principal, entry.id, meters.bytes, entry.max_sockets, meters.pixels)

    def knows(self, principal: Principal) -> bool:
        """Tell whether a key that was accepted once still is."""
        self._look_again()
        return self._keys is None or any(key.id == principal.key_id for key in self._keys)

    def grant(self, principal: Principal, doors: Sequence[str], seconds: int) -> tuple[str, int]:
        """Return a token for these doors, and until when it lasts (Unix seconds).

        Raises ServiceError where it would be of no use.
        """
        entry = next((key for key in self._keys or () if key.id == principal.key_id), None)
        if entry is None:
            raise ServiceError(Problem.NOT_FOUND, "no keys are set up here: nothing needs a token")
        grant = Grant(entry.id, tuple(doors), int(self._now_s()) + seconds)
        return sign(grant, entry.sha256, self._secret), grant.expires_s

    def _of_token(self, token: str, connection: HTTPConnection) -> KeyEntry:
        """Return the key that a token stands for; raises ServiceError."""
        claimed = read_grant(token)
        entry = next(
            (key for key in self._keys or () if claimed and key.id == claimed.key_id), None
        )
        if claimed is None or entry is None or not is_signed(token, entry.sha256, self._secret):
            raise _unauthenticated("the token is not known here")
        if claimed.expires_s <= self._now_s():
            raise _unauthenticated("the token has run out")
        door = connection.scope["path"].split("/")[1]
        if door not in claimed.doors:
            raise ServiceError(
                Problem.WRONG_DOOR, f"the token is for {', '.join(claimed.doors)} alone"
            )
        return entry

    def _look_again(self) -> None:
        path, now = self._settings.api_keys_file, self._clock()
        if path is None or now - self._looked_s < LOOK_S:
            return
        self._looked_s = now
        if (stamp := _stamp(path)) == self._stamp:
            return
        # Noted before it is read: a wrong file is read and logged once, not at every request.
        self._stamp = stamp
        try:
            self._take(() if stamp is None else load_keys(path))
            logger.info("keys read again", extra=fields(keys=len(self._keys or ())))
        except ConfigurationError as error:
            logger.error("keys not read again", extra=fields(reason=str(error)))

    def _take(self, keys: Sequence[KeyEntry]) -> None:
        self._keys = keys
        # A file that is read again gives nobody a new burst.
        kept = self._meters
        self._meters = {key.id: self._meters_of(key, kept.get(key.id)) for key in keys}

    def _meters_of(self, key: KeyEntry, kept: "Meters | None") -> "Meters":
        """Return the meters of a key, those it has where its rates are the same."""
        usual = self._settings
        meters = Meters(
            Meter(key.requests_per_minute or usual.requests_per_minute, "requests"),
            Meter(key.bytes_per_minute or usual.bytes_per_minute, "bytes"),
            Meter(key.pixels_per_minute or usual.pixels_per_minute, "pixels"),
        )
        return kept if kept and kept.rates == meters.rates else meters


@dataclass(frozen=True)
class Meters:
    """Meters of one key: requests, bytes, and pixels that were decoded."""

    requests: Meter
    bytes: Meter
    pixels: Meter

    @property
    def rates(self) -> tuple[int, int, int]:
        """Most a minute of each."""
        return self.requests.per_minute, self.bytes.per_minute, self.pixels.per_minute


def _stamp(path: Path) -> tuple[int, int] | None:
    """Return what changes when a file is written, None while it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def sent_key(connection: HTTPConnection) -> str:
    """Return the key that was sent, empty for none.

    Browsers cannot set headers on sockets: they offer the subprotocols `countenance` and
    `bearer.<key>`, and only the first is ever sent back.
    """
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    for offered in connection.scope.get("subprotocols", []):
        if offered.startswith(KEY_SUBPROTOCOL):
            return str(offered).removeprefix(KEY_SUBPROTOCOL)
    return ""


def _unauthenticated(detail: str) -> ServiceError:
    return ServiceError(
        Problem.UNAUTHENTICATED, detail, headers={"WWW-Authenticate": 'Bearer realm="countenance"'}
    )


def main(arguments: Sequence[str]) -> int:
    """Print a new key to stderr, once, and its entry for the keys file to stdout."""
    if len(arguments) != 1 or not arguments[0].isidentifier():
        sys.stderr.write("usage: python -m service.security NAME >> keys.toml\n")
        return 2
    key, entry = new_key(arguments[0])
    sys.stderr.write(f"The key, shown this once: {key}\n")
    sys.stdout.write(entry)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
