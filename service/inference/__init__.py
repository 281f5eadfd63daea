"""The way to the models: one protocol, the wire format, and the order of questions.

Askers take turns by the work that they bring, and large work is kept apart. Work is counted in
pixels: those of a picture, more where small faces are searched for, and a constant for what every
picture costs besides. It need not be exact; what turns out slower than it looked is learned from
the time that it took.
"""

import asyncio
import json
import math
import statistics
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgpack

from service.errors import Problem, ServiceError, refusal
from service.options import SEARCHED_PX

MAX_REPLY_BYTES = 256 * 2**20  # a drawn picture of the largest size fits
# The question to a model about itself; its outputs are `{"description": map, "device": str}`.
DESCRIBE = bytes(msgpack.packb({"describe": True}))
MOST_HEADER_BYTES = 2**16  # of a state's header; ours have a few kilobytes
# A lane takes work up to its bound, the last one all the rest: a face in a camera's picture waits
# for no photograph, a photograph for no panorama.
LANES = (3_000_000, 24_000_000)
LANES_S = (0.3, 1.5)
PICTURE_WORK, BOX_WORK = 300_000, 150_000
# What an asker may bring into one call while others ask too.
QUANTUM = 3_000_000
# As long as a call may take, as far as is known, unless it is that of one question.
CALL_S = 1.0
UNKNOWN_S_PER_WORK = CALL_S / QUANTUM
# Slow is what takes so many times longer than usual: a slow machine alone is nobody's fault.
SLOWER, LATELY_S = 4, 10.0
ABOUT_S = 1.0  # who asked within so long still asks
HALF_LIFE_S = 30.0  # of what is remembered of an asker's speed
REMEMBERED = 1000  # askers, of which there may be any number


@dataclass(frozen=True)
class Load:
    """The asker of a question and its estimated work, see `picture_work`."""

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

    async def describe(self, model: str | None = None) -> list[dict[str, Any]]:
        """Return what is known of every model, or of one: name, version, sha256, licence, figures,
        variants.
        """

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


def picture_work(pixels: int, min_face_px: float, boxes: int = 0) -> int:
    """Return about how much work a picture is in which faces are searched for or given."""
    search = 4 * (SEARCHED_PX / max(min_face_px, SEARCHED_PX)) ** 2
    return PICTURE_WORK + round(pixels * (1 + search)) + boxes * BOX_WORK


class FairQueue:
    """Start-time fair queueing: who has had less goes first, who was away has saved nothing."""

    def __init__(self) -> None:
        self._now = 0.0
        self._ends: dict[str, float] = {}

    def enter(self, owner: str, work: int) -> float:
        """Return the place of new work of `owner`; the least of all that wait is next."""
        # An end that has passed says nothing, and there may be any number of owners.
        self._ends = {name: end for name, end in self._ends.items() if end > self._now}
        # Not before now: time without questions is not saved up.
        start = max(self._now, self._ends.get(owner, 0.0))
        self._ends[owner] = start + work
        return start

    def serve(self, start: float) -> None:
        """Take the work at this place."""
        self._now = max(self._now, start)


class AskerHistory:
    """The askers of late: when they last asked, and how fast their work goes.

    Slow work is forgotten within minutes, and not after a few quick pictures.
    """

    def __init__(self) -> None:
        self._asked_s: OrderedDict[str, float] = OrderedDict()
        self._rates: OrderedDict[tuple[object, str], tuple[float, float]] = OrderedDict()

    def note(self, owner: str) -> None:
        """Say that `owner` asks now."""
        _put(self._asked_s, owner, _now_s())

    def learn(self, key: object, loads: Iterable[tuple[str, int]], seconds: float) -> None:
        """Note how long a call of `key` took that did this work, by owner and amount."""
        loads = list(loads)
        rate = seconds / max(1, sum(work for _, work in loads))
        for owner in {owner for owner, _ in loads}:
            # The slowest rate of late: an asker cannot hide slow pictures among quick ones.
            slowest = max(rate, self._rate(key, owner) or 0.0)
            _put(self._rates, (key, owner), (slowest, _now_s()))

    def expected_s(self, key: object, owner: str, work: int) -> float:
        """Return how long work may take, estimated high for an unknown asker."""
        rate = self._rate(key, owner)
        return work * (UNKNOWN_S_PER_WORK if rate is None else rate)

    def lane(self, key: object, owner: str, work: int) -> int:
        """Return the lane of new work, by its amount and by how long such work took before.

        The first work of an unknown asker goes beside the usual lane, where its speed is measured.
        """
        rate = self._rate(key, owner)
        if rate is None:
            return max(bisect_left(LANES, work), int(not self.is_alone(owner)))
        slow = rate > SLOWER * self._usual_rate(key)
        return max(bisect_left(LANES, work), bisect_left(LANES_S, work * rate) if slow else 0)

    def is_alone(self, owner: str) -> bool:
        """Tell whether nobody else has asked lately."""
        since_s = _now_s() - ABOUT_S
        return not any(
            name != owner and asked_s > since_s for name, asked_s in self._asked_s.items()
        )

    def _usual_rate(self, key: object) -> float:
        """Return the rate of the middle one of those who ask, of two the faster."""
        since_s = _now_s() - LATELY_S
        asking = [owner for owner, asked_s in self._asked_s.items() if asked_s > since_s]
        rates = [rate for owner in asking if (rate := self._rate(key, owner)) is not None]
        return statistics.median_low(rates) if rates else math.inf

    def _rate(self, key: object, owner: str) -> float | None:
        """Return seconds for a unit of work, less and less of what is long ago."""
        if (found := self._rates.get((key, owner))) is None:
            return None
        rate, learned_s = found
        return rate * math.exp2((learned_s - _now_s()) / HALF_LIFE_S)


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def _put(known: "OrderedDict[Any, Any]", name: Any, value: Any) -> None:
    """Remember a value, and forget the one that was not renewed for the longest time."""
    known[name] = value
    known.move_to_end(name)
    if len(known) > REMEMBERED:
        known.popitem(last=False)
