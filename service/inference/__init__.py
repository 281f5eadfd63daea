"""The way to the models: one protocol, the wire format, local and remote implementations."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


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
