"""Who is asking: API keys (hashed at rest) into principals, each key with its own rate limit.

`python -m service.security NAME` makes a key for the principal NAME and the entry for the file.
"""

import hashlib
import hmac
import logging
import secrets
import sys
import time
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from starlette.requests import HTTPConnection

from service.errors import ConfigurationError, Problem, ServiceError
from service.http.limits import Meter, RateLimiter
from service.settings import Settings
from service.telemetry.logs import fields

KEY_PREFIX = "cnt_"
SUBPROTOCOL = "countenance"
KEY_SUBPROTOCOL = "bearer."
LOOK_S = 1.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Principal:
    """Who asks; several keys may stand for one principal, and sessions belong to the principal.

    `meter` counts the bytes that the key sends; `max_sockets` is the most that may be open while
    this key opens one, the setting's where None.
    """

    name: str
    key_id: str | None = None
    meter: Meter | None = field(default=None, compare=False)
    max_sockets: int | None = None


ANONYMOUS = Principal("anonymous")


class KeyEntry(BaseModel):
    """One key of the keys file; only its hash is there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(min_length=1, description="Name of the key, for logs.")
    principal: str = Field(min_length=1, description="Whose key it is.")
    sha256: str = Field(pattern="^[0-9a-f]{64}$", description="SHA-256 of the key, hexadecimal.")
    requests_per_minute: int | None = Field(
        None, ge=1, description="Rate limit in requests a minute; the setting's where not given."
    )
    bytes_per_minute: int | None = Field(
        None, ge=1024, description="Rate limit in bytes a minute; the setting's where not given."
    )
    max_sockets: int | None = Field(
        None, ge=0, description="Most open sockets of its principal; the setting's if not given."
    )


class KeyFile(BaseModel):
    """The keys file: a TOML array of tables named `keys`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    keys: tuple[KeyEntry, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _ids_differ(self) -> Self:
        if len({key.id for key in self.keys}) < len(self.keys):
            raise ValueError("two keys have the same id")
        return self


def load_keys(path: Path) -> tuple[KeyEntry, ...]:
    """Read the keys file; raises ConfigurationError naming what is wrong, never what is secret."""
    try:
        return KeyFile.model_validate(tomllib.loads(path.read_text())).keys
    except OSError as error:
        raise ConfigurationError(f"cannot read the keys file {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the keys file {path} is no TOML: {error}") from error
    except ValidationError as error:
        found = "; ".join(f"{item['loc']}: {item['msg']}" for item in error.errors())
        raise ConfigurationError(f"the keys file {path} is not right: {found}") from None


class Authenticator:
    """Tells principals by the key they send; without a keys file everybody is anonymous.

    A keys file that has changed is read again; where it is wrong, the keys before it stay.
    """

    def __init__(
        self, settings: Settings, limiter: RateLimiter, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Read the keys that `settings` name; raises ConfigurationError."""
        self._settings = settings
        self._limiter = limiter
        self._clock = clock
        self._looked_s = clock()
        self._stamp: tuple[int, int] | None = None
        self._keys: Sequence[KeyEntry] | None = None
        self._meters: dict[str, Meter] = {}
        if (path := settings.api_keys_file) is not None:
            self._stamp = _stamp(path)
            self._take(load_keys(path))

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Read the keys that `settings` name; raises ConfigurationError."""
        return cls(settings, RateLimiter())

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
        if not (token := sent_key(connection)):
            raise _unauthenticated("send the key as `Authorization: Bearer <key>`")
        entry = find_key(self._keys, token)
        if entry is None:
            raise _unauthenticated("the key is not known here")
        self._limiter.take(
            entry.id, entry.requests_per_minute or self._settings.requests_per_minute
        )
        meter = self._meters[entry.id]
        meter.check()
        return Principal(entry.principal, entry.id, meter, entry.max_sockets)

    def _look_again(self) -> None:
        path, now = self._settings.api_keys_file, self._clock()
        if path is None or now - self._looked_s < LOOK_S:
            return
        self._looked_s = now
        if (stamp := _stamp(path)) == self._stamp:
            return
        self._stamp = stamp
        try:
            self._take(load_keys(path))
            logger.info("keys read again", extra=fields(keys=len(self._keys or ())))
        except ConfigurationError as error:
            logger.error("keys not read again", extra=fields(reason=str(error)))

    def _take(self, keys: Sequence[KeyEntry]) -> None:
        self._keys = keys
        rates = {key.id: key.bytes_per_minute or self._settings.bytes_per_minute for key in keys}
        kept = self._meters
        self._meters = {
            name: kept[name] if name in kept and kept[name].per_minute == rate else Meter(rate)
            for name, rate in rates.items()
        }


def _stamp(path: Path) -> tuple[int, int] | None:
    """What changes with a file, None while it is not there."""
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


def find_key(keys: Sequence[KeyEntry], token: str) -> KeyEntry | None:
    """Return the entry of `token`; the time taken tells nothing about how near a guess came."""
    digest = hash_key(token)
    found = None
    for entry in keys:
        if hmac.compare_digest(entry.sha256, digest):
            found = entry
    return found


def hash_key(key: str) -> str:
    """Return the hexadecimal SHA-256 of a key, as the keys file holds it."""
    return hashlib.sha256(key.encode()).hexdigest()


def new_key(principal: str) -> tuple[str, str]:
    """Make a key of 256 random bits; return it and its entry for the keys file."""
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    identity = f"{principal}-{secrets.token_hex(3)}"
    entry = f'[[keys]]\nid = "{identity}"\nprincipal = "{principal}"\nsha256 = "{hash_key(key)}"\n'
    return key, entry


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
