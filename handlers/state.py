"""The state of a stream between two steps: a flat dict of named tensors <-> bytes that name it.

The bytes are safetensors; their metadata say which model wrote them, so that no model ever steps
on from a state that is not its own.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

Array = NDArray[Any]
State = TypeVar("State")

UNUSABLE = "the session starts anew: the model failed on its state"
METADATA_KEYS = frozenset({"model", "sha256", "schema", "step"})


class StateError(ValueError):
    """Bytes that are no state at all, or a damaged one."""


class ForeignState(StateError):
    """A sound state, but of another model, other weights or another schema; names both."""


def dump_state(
    tensors: Mapping[str, Array], model: str, sha256: str, schema: int, step: int
) -> bytes:
    """Write a state: `tensors` by name, in their own types, with what wrote them.

    `sha256` is the hash of the model's weights, `schema` counts changes of the meaning of the
    tensors, `step` is how many steps the stream has made.
    """
    metadata = {"model": model, "sha256": sha256, "schema": str(schema), "step": str(step)}
    stored = {name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}
    return bytes(save_safetensors(stored, metadata))


def load_state(blob: bytes, model: str, sha256: str, schema: int) -> tuple[dict[str, Array], int]:
    """Read a state that this very model wrote; return its tensors and its step.

    Raises ForeignState when model, weights or schema differ, StateError when the bytes are damaged.
    """
    metadata = _read_metadata(blob)
    found = (metadata["model"], metadata["schema"], metadata["sha256"])
    wanted = (model, str(schema), sha256)
    if found != wanted:
        raise ForeignState(f"state of {_describe(*found)} given to {_describe(*wanted)}")
    try:
        return load_safetensors(blob), int(metadata["step"])
    except (SafetensorError, ValueError) as error:
        raise StateError(f"state is damaged: {error}") from error


def resume(read: Callable[[bytes], State], blob: bytes | None) -> tuple[State | None, str | None]:
    """Return the state that `read` makes of bytes, or None and why the session starts anew."""
    if blob is None:
        return None, None
    try:
        return read(blob), None
    except StateError as error:
        return None, f"the session starts anew: {error}"
    except Exception as error:  # tensors of another making trip over anything
        return None, f"the session starts anew: its state is damaged ({error!r:.80})"


def _describe(model: str, schema: str, sha256: str) -> str:
    return f"{model} (schema {schema}, weights {sha256[:12]})"


def _read_metadata(blob: bytes) -> dict[str, str]:
    """Read the header of safetensors: eight bytes of length, then JSON with `__metadata__`."""
    length = int.from_bytes(blob[:8], "little")
    if len(blob) < 8 or length > len(blob) - 8:
        raise StateError(f"state of {len(blob)} bytes is cut off or no safetensors")
    try:
        header = json.loads(blob[8 : 8 + length])
    except (ValueError, RecursionError) as error:
        raise StateError(f"state has no readable header: {error}") from error
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    if not isinstance(metadata, dict) or not metadata.keys() >= METADATA_KEYS:
        raise StateError(f"state lacks metadata; needed are {', '.join(sorted(METADATA_KEYS))}")
    return {key: str(value) for key, value in metadata.items()}
