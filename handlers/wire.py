"""The messages between service and handlers: one msgpack map each way, arrays as plain maps."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgpack
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Row = bytes | bytearray | Mapping[str, Any]

MAX_BYTES = 256 * 2**20
MAX_AXES = 8
ARRAY_KEYS = frozenset({"dtype", "shape", "data"})
DTYPES = frozenset(
    {"bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"}
    | {"float16", "float32", "float64"}
)


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
    return type(value) is int and 0 <= value <= MAX_BYTES
