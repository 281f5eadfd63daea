"""Which version of a model a question is for: that of its state, or of none the newest."""

import json
import re
from collections.abc import Mapping
from typing import Any

MOST_HEADER_BYTES = 2**16
PARTS = re.compile(r"\d+|[^\d.]+")


def weights_of(state: bytes | None) -> str | None:
    """Return the hash of the weights that wrote a state, None where it names none.

    A state is safetensors: eight bytes of length, then JSON with `__metadata__`. Nothing else of
    it is read here; whether it can be gone on from is for the model to say.
    """
    if state is None or (length := int.from_bytes(state[:8], "little")) > MOST_HEADER_BYTES:
        return None
    try:
        found = json.loads(state[8 : 8 + length])["__metadata__"]["sha256"]
    except (ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, str) else None


def weights_in(description: Mapping[str, Any] | None) -> str | None:
    """Return the hash of the weights that a model's description of itself names."""
    return None if description is None else description.get("sha256")


def version_order(description: Mapping[str, Any] | None) -> tuple[tuple[int, int | str], ...]:
    """Return what sorts descriptions by version: numbers as numbers, words before them."""
    version = str((description or {}).get("version", ""))
    parts = PARTS.findall(version)
    return tuple((1, int(part)) if part.isdigit() else (0, part) for part in parts)
