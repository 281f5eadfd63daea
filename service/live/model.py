"""A model as the routes ask it, and the part of a live session that a model decides."""

import asyncio
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Generic, Protocol, TypeVar

from pydantic import BaseModel, Field, ValidationError

from service.errors import Problem, ServiceError
from service.http.problems import mistake
from service.inference import Answer, Batch, Load, Question, picture_work
from service.live.messages import Arrival, DroppedReply, ErrorReply, error_info
from service.media.images import check_pixels, sniff, sniff_soon
from service.schemas import Body
from service.security import CALLER
from service.services import Services
from service.telemetry import Metrics

VariantName = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")]
Parsed = TypeVar("Parsed", bound=BaseModel)
Given = TypeVar("Given", bound=BaseModel)


@dataclass(frozen=True)
class Cost:
    """The cost of a question: pixels that count for its asker, and work, see `picture_work`."""

    pixels: int = 0
    work: int = 0

    @classmethod
    def of_pictures(cls, pixels: Sequence[int], min_face_px: float, boxes: int = 0) -> "Cost":
        """Return the cost of pictures of so many pixels, with faces searched for or given."""
        work = sum(picture_work(count, min_face_px, boxes) for count in pixels)
        return cls(sum(pixels), work)


FREE = Cost()


class Model:
    """Asks the model `name` within the limits of the settings, and measures every question."""

    def __init__(self, name: str, services: Services) -> None:
        self.name = name
        self.settings = services.settings
        self.metrics = services.metrics
        self._services = services

    async def check_loaded(self) -> None:
        """Raise ServiceError where the model is not served, or not yet."""
        state = await self._services.inference.readiness()
        if self.name not in state.models:
            why = state.absent.get(self.name)
            raise ServiceError(
                Problem.UNAVAILABLE,
                f"the model {self.name} is not loaded" + (f": {why}" if why else ""),
                headers={"Retry-After": "10"},
            )

    async def check_variant(self, variant: str | None) -> None:
        """Raise ServiceError for a variant that the model, which tells those it has, has not."""
        told = [] if variant is None else await self._services.inference.describe(self.name)
        known = sorted({name for one in told for name in one.get("variants", ())})
        if known and variant not in known:
            raise ServiceError(
                Problem.INVALID_REQUEST, f"variant is {variant!r}; known are {', '.join(known)}"
            )

    def check_size(self, size: int) -> None:
        """Raise ServiceError for a frame of too many bytes."""
        if size > (most := self.settings.max_frame_bytes):
            raise ServiceError(
                Problem.BODY_TOO_LARGE, f"a frame may have {most} bytes; this one has {size}"
            )

    async def check_frame(self, frame: bytes) -> int:
        """Return how many pixels an encoded frame declares; raises ServiceError for one that is
        none, or too large.
        """
        self.check_size(len(frame))
        # On the event loop where it is quick: a thread costs more than most headers.
        header = sniff_soon(frame)
        if header is None:
            header = await asyncio.to_thread(sniff, frame)
        check_pixels(header, self.settings.max_frame_pixels)
        return header.pixels

    async def ask(
        self,
        inputs: Mapping[str, Any],
        options: Mapping[str, Any],
        state: bytes | None = None,
        cost: Cost = FREE,
    ) -> Answer:
        """Return the model's answer; raises ServiceError when it refuses or takes too long."""
        caller = CALLER.get()
        await caller.count_pixels(cost.pixels)
        question = Question(inputs, options, state, Load(caller.name, cost.work))
        started, outcome = time.perf_counter(), "failed"
        with self._services.tracing.span(f"ask {self.name}") as span:
            try:
                answer = await self._answer(question)
                outcome = "answered"
            except ServiceError as error:
                outcome = "refused" if error.problem.status < 500 else "failed"
                raise
            finally:
                seconds = time.perf_counter() - started
                self.metrics.inference.labels(self.name, outcome).observe(seconds)
                span.set_attribute("countenance.outcome", outcome)
            if answer.batch is not None:
                self._measure(answer.batch, seconds)
                span.set_attribute("countenance.batch_rows", answer.batch.rows)
            return answer

    async def _answer(self, question: Question) -> Answer:
        timeout_s = self.settings.inference_timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                return await self._services.inference.ask(self.name, question)
        except TimeoutError:
            raise ServiceError(
                Problem.TIMEOUT, f"no answer within {timeout_s:g} s", headers={"Retry-After": "1"}
            ) from None

    def _measure(self, batch: Batch, seconds: float) -> None:
        """Record a question's batch, and how much of `seconds` was spent waiting for it."""
        # A worker elsewhere measures by a clock of its own.
        waited_ms = max(0.0, seconds - batch.seconds) * 1000
        stages_ms = {"queue": waited_ms, "inference": batch.seconds * 1000}
        self.metrics.batch_rows.labels(self.name).observe(batch.rows)
        self.metrics.observe_stages(self.name, stages_ms)


def parse_into(kind: type[Parsed], values: Mapping[str, Any]) -> Parsed:
    """Check options by their pydantic model; raises ServiceError naming all that do not fit."""
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        found = "; ".join(
            # Cut: the names are the client's, and may be of any length.
            f"{'.'.join(map(str, item['loc']))[:60]}: {mistake(item, kind.model_fields)}"
            for item in error.errors()
        )
        raise ServiceError(Problem.INVALID_REQUEST, found) from error


class Outputs(Protocol):
    """The fields of a model's answer that every session needs."""

    status: Any
    notes: list[str]
    timings_ms: dict[str, float]


Said = TypeVar("Said", bound=Outputs)


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
    """The part of a session that its model decides. It knows no store: state goes in and out.

    `options` of a socket may change until its first frame.
    """

    model: ClassVar[str]

    def __init__(self, asked: Model, options: Given) -> None:
        self.options = options
        self._asked = asked

    @property
    def drop(self) -> bool:
        """Whether a newer frame replaces one that still waits; only sockets may say so."""
        return getattr(self.options, "drop", False)

    @property
    def due_s(self) -> float:
        """Return the time up to which frames may be answered by now."""
        return math.inf

    async def set_options(self, changes: Mapping[str, Any]) -> None:
        """Change the options that are named; raises ServiceError."""
        options = parse_into(type(self.options), {**self.options.model_dump(), **changes})
        await self.check_options(options)
        self.options = options

    async def check_options(self, options: Given) -> None:
        """Raise ServiceError for what only the model can refuse: a variant that it has not."""
        await self._asked.check_variant(getattr(options, "variant", None))

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
