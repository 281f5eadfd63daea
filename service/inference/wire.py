"""Questions and answers as the msgpack maps that handlers read and write."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgpack

from service.errors import Problem, ServiceError, refusal
from service.inference import Answer, Batch, Question
from service.inference.gathering import Reply, Row

MAX_REPLY_BYTES = 256 * 2**20  # a drawn picture of the largest size fits

# The question to a model about itself; its outputs are `{"description": map, "device": str}`.
DESCRIBE = bytes(msgpack.packb({"describe": True}))
MOST_HEADER_BYTES = 2**16  # of a state's header; ours have a few kilobytes
PARTS = re.compile(r"\d+|[^\d.]+")


def pack_question(question: Question) -> bytes:
    """Write `{"inputs": map, "options": map, "state": bytes?}`."""
    message: dict[str, Any] = {"inputs": question.inputs, "options": question.options}
    if question.state is not None:
        message["state"] = question.state
    return bytes(msgpack.packb(message))


def unpack_answer(reply: bytes) -> Answer:
    """Read `{"outputs": map, "state": bytes?}`; raises ServiceError for `{"error": ...}`.

    A reply that is neither is the handler's fault and becomes an internal error.
    """
    message = _unpack_map(reply)
    error = message.get("error")
    if isinstance(error, dict):
        raise refusal(str(error.get("type")), str(error.get("detail")))
    outputs, state = message.get("outputs"), message.get("state")
    if not isinstance(outputs, dict) or not isinstance(state, bytes | None):
        raise ServiceError(Problem.INTERNAL, "the model's reply has no outputs")
    return Answer(outputs, state)


def pack_rows(rows: Sequence[Row]) -> bytes:
    """Write a call to a worker: `{"rows": [bytes], "request_ids": [str?]}`, as many of both."""
    message = {
        "rows": [row.body for row in rows],
        "request_ids": [row.request_id for row in rows],
    }
    return bytes(msgpack.packb(message))


def unpack_replies(reply: bytes, rows: int) -> list[Reply]:
    """Read `{"replies": [bytes], "milliseconds": float}`, a reply to each of the rows.

    An error in place of the replies is that of every row. Raises ServiceError for anything else.
    """
    message = _unpack_map(reply)
    if "error" in message:
        return [Reply(reply, None)] * rows
    replies, milliseconds = message.get("replies"), message.get("milliseconds")
    if not isinstance(replies, list) or len(replies) != rows or not isinstance(milliseconds, float):
        raise ServiceError(Problem.INTERNAL, "the worker's reply does not fit what it was asked")
    batch = Batch(rows, milliseconds / 1000)
    return [Reply(each, batch) for each in replies]


def _unpack_map(reply: bytes) -> dict[str, Any]:
    if len(reply) > MAX_REPLY_BYTES:
        raise ServiceError(Problem.INTERNAL, "the model's reply is too large")
    try:
        message = msgpack.unpackb(reply)
    except (ValueError, msgpack.UnpackException) as error:
        raise ServiceError(Problem.INTERNAL, "the model's reply cannot be read") from error
    if not isinstance(message, dict):
        raise ServiceError(Problem.INTERNAL, "the model's reply is no map")
    return message


def weights_of(state: bytes | None) -> str | None:
    """Return the hash of the weights that wrote a state, None where it names none.

    A state is safetensors: eight bytes of length, then JSON with `__metadata__`. Nothing else of
    it is read here; whether it can be gone on from is for the model to say.
    """
    if state is None or (length := int.from_bytes(state[:8], "little")) > MOST_HEADER_BYTES:
        return None
    try:
        found = json.loads(state[8 : 8 + length])["__metadata__"]["sha256"]
    except (ValueError, KeyError, TypeError, RecursionError):
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
