"""Answers of handlers on one device and on another, and how far they lie apart."""

import importlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from handlers.base import Handler
from handlers.torchserve.models import MODELS, face_row
from handlers.wire import pack, unpack

Reply = dict[str, Any]

# What a GPU may differ by, by the unit; several times what TF32's rounding moves an answer.
# `shares` is all that has no other unit: probabilities, actions, steps, times.
TOLERANCES = {"pixels": 0.25, "shares": 0.02, "affect": 0.01, "degrees": 0.5, "millimetres": 2.0}
UNITS = {
    **dict.fromkeys(("box", "boxes", "landmarks", "scale", "translation"), "pixels"),
    **dict.fromkeys(("valence", "arousal"), "affect"),
    **dict.fromkeys(("pitch_deg", "yaw_deg", "roll_deg", "rotation_deg"), "degrees"),
    "position_mm": "millimetres",
}
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
    """The largest differences of two replies by their units, those of TOLERANCES.

    Raises ValueError where they differ in more than numbers: other faces, or other keys.
    """
    most = dict.fromkeys(TOLERANCES, 0.0)
    for (key, a), (name, b) in zip(numbers(one), numbers(other), strict=True):
        is_another = key != name or (a is None) != (b is None)
        if is_another or (key.endswith(COUNT) and a != b):
            raise ValueError(f"{key} is {a!r:.40} here and {name} {b!r:.40} there")
        if a is not None:
            unit = UNITS.get(key, "shares")
            most[unit] = max(most[unit], abs(float(a) - float(b)))
    return most


def are_alike(differences: Mapping[str, float]) -> bool:
    """Tell whether no difference is larger than its unit allows."""
    return all(most <= TOLERANCES[unit] for unit, most in differences.items())
