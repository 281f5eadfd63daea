"""Keys and tokens: the file of hashed API keys, and tokens that lend a key's rights for minutes."""

import base64
import hashlib
import hmac
import json
import secrets
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from service.errors import ConfigurationError

KEY_PREFIX = "cnt_"  # lets scanners of source code find a key that was left there
TOKEN_PREFIX = "cntt_"  # tells a token from a key
MOST_CHARACTERS = 1024  # more is no token of ours: nothing of it is decoded
Door = Literal["align", "track", "affect"]


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
    # From its places and messages alone: its own text would show the values.
    except ValidationError as error:
        found = "; ".join(f"{item['loc']}: {item['msg']}" for item in error.errors())
        raise ConfigurationError(f"the keys file {path} is not right: {found}") from None


def find_key(keys: Sequence[KeyEntry], token: str) -> KeyEntry | None:
    """Return the entry of `token`; the time taken tells nothing about how near a guess came."""
    # All entries are compared, also behind a match.
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


@dataclass(frozen=True)
class Grant:
    """The content of a token: its key, the doors it opens, the end of its life (Unix seconds)."""

    key_id: str
    doors: tuple[str, ...]
    expires_s: int


def sign(grant: Grant, key_sha256: str, secret: bytes) -> str:
    """Return the token of a grant; with another key of the same name it is worth nothing."""
    body = json.dumps([grant.key_id, grant.doors, grant.expires_s]).encode()
    return f"{TOKEN_PREFIX}{_encode(body)}.{_encode(_mac(body, key_sha256, secret))}"


def read_grant(token: str) -> Grant | None:
    """Return what a token claims, not yet proved; None where it cannot be read."""
    if len(token) > MOST_CHARACTERS:
        return None
    try:
        found = json.loads(_decode(token.removeprefix(TOKEN_PREFIX).partition(".")[0]))
        key_id, doors, expires_s = found
        return Grant(str(key_id), tuple(map(str, doors)), int(expires_s))
    # Anything may be sent: deep lists, numbers beyond all integers.
    except (ValueError, TypeError, OverflowError, RecursionError):
        return None


def is_signed(token: str, key_sha256: str, secret: bytes) -> bool:
    """Tell whether a token was signed for this key."""
    body, _, signature = token.removeprefix(TOKEN_PREFIX).partition(".")
    try:
        return hmac.compare_digest(_decode(signature), _mac(_decode(body), key_sha256, secret))
    except ValueError:
        return False


def _mac(body: bytes, key_sha256: str, secret: bytes) -> bytes:
    # With the key's hash: a token ends with its key, also where the id is used again.
    return hmac.digest(secret, key_sha256.encode() + body, hashlib.sha256)


def _encode(data: bytes) -> str:
    # Without `=`, which a subprotocol's name may not hold: pages send tokens as one.
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    # Unless told to validate, Python passes over what is not base64.
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
