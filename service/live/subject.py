"""What is particular to one model's sessions: how a message is read, stepped and answered."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from service.errors import ServiceError
from service.live.mailbox import Arrival
from service.schemas import Body
from service.telemetry import Metrics


class Outputs(Protocol):
    """What a model says of one step, as far as every session needs it."""

    status: Any
    notes: list[str]
    timings_ms: dict[str, float]


Said = TypeVar("Said", bound=Outputs)


@dataclass(frozen=True)
class Step(Generic[Said]):
    """What one step gave: the model's words, and the state to go on from."""

    outputs: Said
    state: bytes | None


@dataclass(frozen=True)
class Place:
    """Where a step stands: its number in the session, and whether the store has it."""

    step: int
    stored: bool = True


class Subject(Protocol[Said]):
    """One socket's talk with one model. It knows no store: state goes in and comes back."""

    model: str

    @property
    def drop(self) -> bool:
        """Whether a newer frame replaces one that still waits."""

    @property
    def due_s(self) -> float:
        """Up to which time of theirs frames may be answered by now."""

    def set_options(self, asked: Mapping[str, Any]) -> None:
        """Change the options that are named; raises ServiceError."""

    def read(self, message: bytes, arrived_s: float, now_s: float) -> Arrival | None:
        """Sort one binary message; None where it needs no answer and was kept here.

        `arrived_s` is on the clock of time.perf_counter, `now_s` in Unix seconds. Never raises: a
        mistake is an arrival with its error.
        """

    def restart(self) -> None:
        """Forget what was sent: what comes now belongs to a session that starts anew."""

    async def step(self, arrival: Arrival, state: bytes | None) -> Step[Said]:
        """Ask the model; raises ServiceError. May be asked again for the same arrival."""

    def reply(self, arrival: Arrival, outputs: Said, place: Place) -> Body | None:
        """Return the answer to a step, None where none is due."""

    def dropped(self, arrival: Arrival) -> Body:
        """Return the answer to a frame that a newer one replaced."""

    def refused(self, arrival: Arrival, error: ServiceError) -> Body:
        """Return the answer to a message that could not be used."""

    def measure(self, outputs: Said, metrics: Metrics) -> None:
        """Record what is particular to this model's answers."""


class Chunk(Protocol[Said]):
    """What a client without a socket sends for one step, and which step it expects, if it says."""

    @property
    def step(self) -> int | None:
        """The number that the step is to have."""

    async def make(self, state: bytes | None) -> Step[Said]:
        """Ask the model; raises ServiceError."""

    def reply(self, outputs: Said, place: Place) -> Body:
        """Return the answer to the step."""
