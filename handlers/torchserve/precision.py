"""How exactly a GPU computes: half precision where it errs little and is faster, else single.

None of this has run on a GPU yet: the choice is tested on a CPU, in float16 as well.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch

from handlers.wire import unpack

# Pixels for what is measured in pixels, as landmarks and boxes are; all else is smaller anyway.
LARGEST_ERROR = 0.25
STEPS = 3
UNCOMPARED = frozenset({"timings_ms", "state"})

# What a session sends: the request of a step, with the state that the step before has left.
Row = Callable[[int, bytes | None], bytes]

logger = logging.getLogger(__name__)


class Handler(Protocol):
    """What is asked of a handler object."""

    def handle(self, rows: Sequence[bytes | bytearray]) -> list[bytes]: ...

    def describe(self) -> dict[str, Any]: ...


class HalfPrecision:
    """A handler whose convolutions and products compute in float16; states stay interchangeable.

    bfloat16 would not do: its results cannot be handed to NumPy.
    """

    def __init__(self, handler: Handler, device: str) -> None:
        self._handler = handler
        self._device_type = torch.device(device).type

    def handle(self, rows: Sequence[bytes | bytearray]) -> list[bytes]:
        """Answer every row."""
        with torch.autocast(self._device_type, dtype=torch.float16):
            return self._handler.handle(rows)

    def describe(self) -> dict[str, Any]:
        """Say what is served, and how exactly."""
        return {**self._handler.describe(), "precision": "float16"}


def prepare_gpu() -> None:
    """Let single precision use the tensor cores: ten bits of mantissa in products."""
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = True


def choose_precision(handler: Handler, row: Row, sessions: int, device: str) -> Handler:
    """Return the handler in half precision if it serves as well so, and faster.

    So many sessions share batches for some steps; each kind of precision goes on from its own
    states.
    """
    half = HalfPrecision(handler, device)
    exact, exact_s = _timed(handler, row, sessions)
    rough, rough_s = _timed(half, row, sessions)
    error = max(largest_difference(one, other) for one, other in zip(exact, rough, strict=True))
    chosen = half if error <= LARGEST_ERROR and rough_s < exact_s else handler
    logger.info(
        "half precision errs by %.3f and takes %.1f ms for %.1f ms: %s",
        error,
        rough_s * 1000,
        exact_s * 1000,
        "used" if chosen is half else "not used",
    )
    return chosen


def largest_difference(one: Any, other: Any) -> float:
    """The largest difference of two numbers at the same place; infinite where replies differ.

    Texts may differ: a class whose probability is near another's may change.
    """
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        if one.keys() != other.keys():
            return float("inf")
        keys = one.keys() - UNCOMPARED
        return max((largest_difference(one[key], other[key]) for key in keys), default=0.0)
    if isinstance(one, list) and isinstance(other, list):
        if len(one) != len(other):
            return float("inf")
        pairs = zip(one, other, strict=True)
        return max((largest_difference(*pair) for pair in pairs), default=0.0)
    if isinstance(one, int | float) and isinstance(other, int | float):
        difference = abs(float(one) - float(other))
        return difference if difference == difference else float("inf")
    return 0.0 if type(one) is type(other) else float("inf")


def _timed(handler: Handler, row: Row, sessions: int) -> tuple[list[Any], float]:
    """Replies and seconds; the first time, which plans, does not count."""
    _run(handler, row, sessions)
    started = time.perf_counter()
    replies = _run(handler, row, sessions)
    return replies, time.perf_counter() - started


def _run(handler: Handler, row: Row, sessions: int) -> list[Any]:
    """The replies to some steps of sessions that are new."""
    states: list[bytes | None] = [None] * sessions
    told: list[Any] = []
    for step in range(STEPS):
        replies = [unpack(one) for one in handler.handle([row(step, state) for state in states])]
        states = [reply.get("state") for reply in replies]
        told += replies
    return told
