"""Questions and answers as the msgpack maps that handlers read and write."""

from collections.abc import Sequence
from typing import Any

import msgpack

from service.errors import Problem, ServiceError, refusal
from service.inference.base import Answer, Batch, Question
from service.inference.gathering import Reply, Row

MAX_REPLY_BYTES = 256 * 2**20

# The question to a model about itself; its outputs are `{"description": map, "device": str}`.
DESCRIBE = bytes(msgpack.packb({"describe": True}))


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
