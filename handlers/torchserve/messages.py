"""What one request to a worker carries: rows that askers sent together, and their replies."""

from collections.abc import Sequence
from dataclasses import dataclass

from handlers.wire import WireError, pack, unpack


@dataclass(frozen=True)
class Call:
    """Packed rows, and of each the id of the request that it came with, if it has one."""

    rows: Sequence[bytes]
    request_ids: Sequence[str | None]


def read_call(body: bytes | bytearray) -> Call:
    """Read `{"rows": [bytes], "request_ids": [str?]}`; raises WireError."""
    message = unpack(body)
    rows, request_ids = message.get("rows"), message.get("request_ids")
    if not isinstance(rows, list) or not all(isinstance(row, bytes) for row in rows):
        raise WireError("rows are a list of packed rows")
    if not isinstance(request_ids, list) or len(request_ids) != len(rows):
        raise WireError("request_ids are a list of as many ids as there are rows")
    return Call(rows, request_ids)


def write_replies(replies: Sequence[bytes], milliseconds: float) -> bytes:
    """Write the packed replies to the rows of one call, and how long their batch was at work."""
    return pack({"replies": replies, "milliseconds": milliseconds})
