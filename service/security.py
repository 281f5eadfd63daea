"""Authentication: API keys (hashed at rest) into principals, each key with its own rate limits.

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
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from starlette.requests import HTTPConnection

from service.errors import ConfigurationError, Problem, ServiceError
from service.http.limits import ANONYMOUS, Meter, Principal
from service.settings import SECRET_BYTES, Settings
from service.telemetry import fields
from service.tokens import TOKEN_PREFIX, Grant, is_signed, read_grant, sign

KEY_PREFIX = "cnt_"  # lets scanners of source code find a key that was left there

KEY_SUBPROTOCOL = "bearer."  # for browsers, whose sockets cannot set headers
LOOK_S = 1.0  # between two looks at the keys file: a revoked key works no longer than this

logger = logging.getLogger(__name__)


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
    pixels_per_minute: int | None = Field(
        None, ge=1_000_000, description="Rate limit in pixels a minute; the setting's else."
    )
    max_sockets: int | None = Field(
        None, ge=0, description="Most open sockets of its principal; the setting's if not given."
    )


class KeyFile(BaseModel):
    """The keys file: a TOML array of tables named `keys`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    keys: tuple[KeyEntry, ...] = ()

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
        self._stamp = stamp
        try:
            self._take(() if stamp is None else load_keys(path))
            logger.info("keys read again", extra=fields(keys=len(self._keys or ())))
        except ConfigurationError as error:
            logger.error("keys not read again", extra=fields(reason=str(error)))

    def _take(self, keys: Sequence[KeyEntry]) -> None:
        self._keys = keys
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
    """Return a mark that changes with a file, None while it is not there."""
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
