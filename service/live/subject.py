"""The part of a session that its model decides: reading, stepping and answering messages."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from pydantic import BaseModel

from service.errors import ServiceError
from service.live.mailbox import Arrival
from service.live.messages import DroppedReply, ErrorReply, error_info
from service.live.model import parse_into
from service.schemas import Body
from service.telemetry import Metrics


class Outputs(Protocol):
    """The fields of a model's answer that every session needs."""

    status: Any
    notes: list[str]
    timings_ms: dict[str, float]


Said = TypeVar("Said", bound=Outputs)
Given = TypeVar("Given", bound=BaseModel)


@dataclass(frozen=True)
class Step(Generic[Said]):
    """One step: the model's answer, and the state to go on from."""

    outputs: Said
    state: bytes | None


@dataclass(frozen=True)
class Place:
    """A step's number in the session, and whether the store has it."""

    step: int
    stored: bool = True


class Subject(ABC, Generic[Said, Given]):
    """A session's talk with one model. It knows no store: state goes in and comes back.

    `options` of a socket may change until its first frame.
    """

    model: ClassVar[str]

    def __init__(self, options: Given) -> None:
        self.options = options

    @property
    def drop(self) -> bool:
        """Whether a newer frame replaces one that still waits; only sockets may say so."""
        return getattr(self.options, "drop", False)

    @property
    def due_s(self) -> float:
        """Up to which time of theirs frames may be answered by now."""
        return math.inf

    def set_options(self, asked: Mapping[str, Any]) -> None:
        """Change the options that are named; raises ServiceError."""
        self.options = parse_into(type(self.options), {**self.options.model_dump(), **asked})

    @abstractmethod
    def read(self, message: bytes, arrived_s: float, now_s: float) -> Arrival | None:
        """Sort one binary message; None where it needs no answer and was kept here.

        `arrived_s` is on the clock of time.perf_counter, `now_s` in Unix seconds. Never raises: a
        mistake is an arrival with its error.
        """

    def restart(self) -> None:
        """Forget what was sent: what comes now belongs to a session that starts anew."""

    @abstractmethod
    async def step(self, arrival: Arrival, state: bytes | None) -> Step[Said]:
        """Ask the model; raises ServiceError. May be asked again for the same arrival."""

    @abstractmethod
    def reply(self, arrival: Arrival, outputs: Said, place: Place) -> Body:
        """Return the answer to a step."""

    def dropped(self, arrival: Arrival) -> DroppedReply:
        """Return the answer to a frame that a newer one replaced."""
        return DroppedReply(sequence=arrival.sequence or 0, time_s=arrival.time_s or 0.0)

    def refused(self, arrival: Arrival, error: ServiceError) -> ErrorReply:
        """Return the answer to a message that could not be used."""
        return ErrorReply(
            of=arrival.kind.value,
            sequence=arrival.sequence,
            time_s=arrival.time_s,
            error=error_info(error),
        )

    @abstractmethod
    def measure(self, outputs: Said, metrics: Metrics) -> None:
        """Record what is particular to this model's answers."""
