"""The way to the models: one protocol, the wire format, local and remote implementations."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgpack

from service.errors import Problem, ServiceError, refusal

MAX_REPLY_BYTES = 256 * 2**20  # a drawn picture of the largest size fits
# The question to a model about itself; its outputs are `{"description": map, "device": str}`.
DESCRIBE = bytes(msgpack.packb({"describe": True}))
MOST_HEADER_BYTES = 2**16  # of a state's header; ours have a few kilobytes


@dataclass(frozen=True)
class Load:
    """The asker of a question and its estimated work, see `turns`."""

    owner: str = ""
    work: int = 0


@dataclass(frozen=True)
class Question:
    """A question to a model: the data, the options, and the state of a stream, if any.

    `load` says whose turn it takes.
    """

    inputs: Mapping[str, Any]
    options: Mapping[str, Any]
    state: bytes | None = None
    load: Load = field(default=Load(), compare=False)

    @property
    def message(self) -> dict[str, Any]:
        """Return what a handler reads: `{"inputs": map, "options": map, "state": bytes?}`."""
        message: dict[str, Any] = {"inputs": self.inputs, "options": self.options}
        return message if self.state is None else {**message, "state": self.state}


@dataclass(frozen=True)
class Batch:
    """The batch that a question shared: how many questions it had, and how long it was at work."""

    rows: int
    seconds: float


@dataclass(frozen=True)
class Answer:
    """The answer of a model, and for streams the state to send along the next time.

    `batch` is None where it is not known.
    """

    outputs: Mapping[str, Any]
    state: bytes | None = None
    batch: Batch | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Readiness:
    """Whether questions can be answered now, on which device, and by which models.

    `absent` says of models that are not served, without that being a fault, what is missing.
    """

    ready: bool
    device: str
    models: tuple[str, ...] = field(default=())
    reason: str | None = None
    absent: Mapping[str, str] = field(default_factory=dict)


class Inference(Protocol):
    """The models, wherever they run. One object serves all requests of an application concurrently.

    A model is a function of (input, state): nothing is remembered between two questions, so that
    any of them may be repeated, cancelled while it waits, or answered by another worker.
    """

    async def open(self) -> None:
        """Make ready to answer; raises ConfigurationError when that cannot be."""

    async def close(self) -> None:
        """Finish what runs, drop what waits, and let go of everything."""

    async def ask(self, model: str, question: Question) -> Answer:
        """Answer one question; raises ServiceError for what the model refuses."""

    async def describe(self) -> list[dict[str, Any]]:
        """Return what is known of every model: name, version, sha256, licence, figures."""

    async def readiness(self) -> Readiness:
        """Say whether questions can be answered, without answering one."""


def pack_question(question: Question) -> bytes:
    """Write the message of a question for a worker elsewhere."""
    return bytes(msgpack.packb(question.message))


def unpack_answer(reply: bytes) -> Answer:
    """Read `{"outputs": map, "state": bytes?}`; raises ServiceError for `{"error": ...}`.

    A reply that is neither is the handler's fault and becomes an internal error.
    """
    message = unpack_map(reply)
    error = message.get("error")
    if isinstance(error, dict):
        raise refusal(str(error.get("type")), str(error.get("detail")))
    outputs, state = message.get("outputs"), message.get("state")
    if not isinstance(outputs, dict) or not isinstance(state, bytes | None):
        raise ServiceError(Problem.INTERNAL, "the model's reply has no outputs")
    return Answer(outputs, state)


def unpack_map(reply: bytes) -> dict[str, Any]:
    """Read a reply that must be a map; raises ServiceError."""
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
