"""Tokens for web pages: a key's rights at some doors for some minutes, signed and kept nowhere."""

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Literal

TOKEN_PREFIX = "cntt_"  # tells a token from a key
MOST_CHARACTERS = 1024  # more is no token of ours: nothing of it is decoded
Door = Literal["align", "track", "affect"]


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
    return hmac.digest(secret, key_sha256.encode() + body, hashlib.sha256)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
