"""Answers of handlers on one device and on another, and how far they lie apart."""

import importlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from handlers.base import Handler
from handlers.torchserve.models import MODELS, face_row
from handlers.wire import pack, unpack

Reply = dict[str, Any]

# What a GPU may differ by: pixels of points and boxes, and all else, which lies in [-1, 1] or is a
# step, a time or an angle.
PIXELS, OF_ONE = 0.5, 0.01
IN_PIXELS = frozenset({"box", "landmarks", "boxes"})
COUNT = " count"
UNCOMPARED = frozenset({"timings_ms", "state"})


def make_handler(store: Path, model: str, device: str) -> Handler[Any]:
    """The handler of a served model on a device."""
    served = MODELS[model]
    handler: type[Handler[Any]] = getattr(importlib.import_module(served.module), served.handler)
    return handler(store, device)  # type: ignore[call-arg]


def told(
    handlers: Sequence[Handler[Any]], model: str, sessions: int = 2, **options: Any
) -> list[Reply]:
    """The outputs of a step of some sessions that share batches, one step by each of `handlers`.

    A state that one handler gives is what the next one goes on from. Raises RuntimeError where one
    refuses a row.
    """
    states: list[bytes | None] = [None] * sessions
    outputs: list[Reply] = []
    for step, handler in enumerate(handlers):
        rows = [unpack(face_row(model, step, state)) for state in states]
        replies = [
            unpack(reply)
            for reply in handler.handle([pack({**row, "options": options}) for row in rows])
        ]
        if errors := [reply["error"] for reply in replies if "error" in reply]:
            raise RuntimeError(f"step {step} of {model} is refused: {errors[0]}")
        states = [reply.get("state") for reply in replies]
        outputs += [reply["outputs"] for reply in replies]
    return outputs


def numbers(reply: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of a reply that is no text, with the key it stands under."""
    if isinstance(reply, Mapping):
        for name in sorted(reply.keys() - UNCOMPARED):
            yield from numbers(reply[name], name)
    elif isinstance(reply, list):
        yield (key + COUNT, len(reply))
        for one in reply:
            yield from numbers(one, key)
    elif not isinstance(reply, str | bytes):
        yield (key, reply)


def apart(one: Any, other: Any) -> dict[str, float]:
    """The largest differences of two replies, in `pixels` and `of_one`.

    Raises ValueError where they differ in more than numbers: other faces, or other keys.
    """
    most = {"pixels": 0.0, "of_one": 0.0}
    for (key, a), (name, b) in zip(numbers(one), numbers(other), strict=True):
        is_another = key != name or (a is None) != (b is None)
        if is_another or (key.endswith(COUNT) and a != b):
            raise ValueError(f"{key} is {a!r:.40} here and {name} {b!r:.40} there")
        if a is not None:
            kind = "pixels" if key in IN_PIXELS else "of_one"
            most[kind] = max(most[kind], abs(float(a) - float(b)))
    return most
