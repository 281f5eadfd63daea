"""The bytes of handlers: messages, one msgpack map each way, and the states of streams.

Arrays travel as plain maps. A state is a flat dict of named tensors as safetensors; their metadata
say which model wrote them, so that no model ever steps on from a state that is not its own.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import msgpack
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

Array = NDArray[Any]
State = TypeVar("State")
Row = bytes | bytearray | Mapping[str, Any]

MAX_BYTES = 256 * 2**20
MAX_AXES = 8
ARRAY_KEYS = frozenset({"dtype", "shape", "data"})
DTYPES = frozenset(
    {"bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"}
    | {"float16", "float32", "float64"}
)
UNUSABLE = "the session starts anew: the model failed on its state"
METADATA_KEYS = frozenset({"model", "sha256", "schema", "step"})


class WireError(ValueError):
    """Bytes that are no message of ours; the text says what was found and what would be right."""


@dataclass(frozen=True)
class Request:
    """A question to a handler: the data, how to treat it, and the state of a stream, if any."""

    inputs: dict[str, Any]
    options: dict[str, Any]
    state: bytes | None = None


def pack(message: Mapping[str, Any]) -> bytes:
    """Write `message` as msgpack; NumPy arrays inside travel as `{"dtype", "shape", "data"}`.

    Data are little-endian in C order. Raises WireError for values that msgpack has no form for.
    """
    try:
        return bytes(msgpack.packb(message, default=_pack_value))
    except (TypeError, ValueError, OverflowError) as error:
        raise WireError(f"cannot be sent: {error}") from error


def unpack(blob: bytes | bytearray, max_bytes: int = MAX_BYTES) -> dict[str, Any]:
    """Read what `pack` wrote; arrays come back as read-only views into the message.

    Raises WireError when the message is longer than `max_bytes`, is no msgpack map with text keys,
    or holds an array whose type is unknown or whose shape does not fit its data.
    """
    if len(blob) > max_bytes:
        raise WireError(f"message has {len(blob)} bytes; at most {max_bytes} are read")
    try:
        message = msgpack.unpackb(bytes(blob), object_hook=_unpack_map)
    # Of `_unpack_map`; as a ValueError it would be told as broken msgpack below.
    except WireError:
        raise
    except (ValueError, msgpack.UnpackException) as error:
        reason = str(error) or type(error).__name__
        raise WireError(f"message is no msgpack: {reason}") from error
    if not isinstance(message, dict):
        raise WireError(f"message is a {type(message).__name__}; a map is needed")
    return message


def read_request(row: Row, max_bytes: int = MAX_BYTES) -> Request:
    """Read one row `{"inputs": map, "options": map, "state": bytes?}`; raises WireError.

    Of a row that was never packed, arrays are views of its bytes.
    """
    message = _as_unpacked(row) if isinstance(row, Mapping) else unpack(row, max_bytes)
    if unknown := sorted(message.keys() - {"inputs", "options", "state"}):
        raise WireError(f"request holds {', '.join(unknown)}; known are inputs, options and state")
    inputs, options = message.get("inputs"), message.get("options", {})
    for name, value in (("inputs", inputs), ("options", options)):
        if not isinstance(value, dict):
            raise WireError(f"{name} is a {type(value).__name__}; a map is needed")
    state = message.get("state")
    if state is not None and not isinstance(state, bytes):
        raise WireError(f"state is a {type(state).__name__}; bytes are needed")
    return Request(inputs or {}, options, state)


def write_reply(outputs: Mapping[str, Any], state: bytes | None = None) -> bytes:
    """Write one answered row: `{"outputs": map, "state": bytes?}`."""
    return pack({"outputs": outputs} if state is None else {"outputs": outputs, "state": state})


def write_error(kind: str, detail: str) -> bytes:
    """Write one refused row: `{"error": {"type": str, "detail": str}}`."""
    return pack({"error": {"type": kind, "detail": detail}})


def _pack_value(value: object) -> Any:
    # NumPy's scalars are no arrays, and msgpack has no form for them either.
    if isinstance(value, np.generic):
        return value.item()
    if not isinstance(value, np.ndarray):
        raise TypeError(f"a {type(value).__name__} has no form in msgpack")
    if value.dtype.name not in DTYPES:
        raise TypeError(f"an array of {value.dtype.name}; sent are {', '.join(sorted(DTYPES))}")
    little = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("<"))
    return {"dtype": value.dtype.name, "shape": list(value.shape), "data": little.tobytes()}


def _as_unpacked(value: Any) -> Any:
    """Return what `unpack` would read of the value once packed."""
    if isinstance(value, Mapping):
        return _unpack_map({name: _as_unpacked(one) for name, one in value.items()})
    return [_as_unpacked(one) for one in value] if isinstance(value, list | tuple) else value


def _unpack_map(value: dict[str, Any]) -> dict[str, Any] | Array:
    if value.keys() != ARRAY_KEYS:
        return value
    dtype, shape, data = value["dtype"], value["shape"], value["data"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise WireError(f"array of {dtype!r}; known are {', '.join(sorted(DTYPES))}")
    if not isinstance(shape, list) or len(shape) > MAX_AXES or not all(map(_is_size, shape)):
        raise WireError(f"array of shape {shape!r:.80}; needed are at most {MAX_AXES} sizes from 0")
    if not isinstance(data, bytes):
        raise WireError(f"array data is a {type(data).__name__}; bytes are needed")
    needed = math.prod(shape) * np.dtype(dtype).itemsize
    if len(data) != needed:
        raise WireError(f"array {dtype} {shape} needs {needed} bytes, {len(data)} came")
    return np.frombuffer(data, np.dtype(dtype).newbyteorder("<")).reshape(shape)


def _is_size(value: object) -> bool:
    # `isinstance` would let True pass as a size of 1.
    return type(value) is int and 0 <= value <= MAX_BYTES


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
