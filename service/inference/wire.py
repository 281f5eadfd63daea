"""Questions and answers as the msgpack maps that handlers read and write."""

from typing import Any

import msgpack

from service.errors import Problem, ServiceError, refusal
from service.inference.base import Answer, Question

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
