"""The child's messages to the service: length and msgpack, one of four kinds."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import msgpack

from service.errors import BY_SLUG, Problem, ServiceError
from service.media.clips.contents import (
    ClipChunk,
    ClipFrame,
    ClipInfo,
    ClipSound,
    ClipTotals,
    Picture,
    SoundInfo,
)

Message = ClipInfo | ClipChunk | ClipTotals | ServiceError
LENGTH_BYTES = 4


def pack(message: Message) -> bytes:
    """Write a message, its length in front."""
    if isinstance(message, ServiceError):
        notes = list(getattr(message, "__notes__", []))
        body = {"problem": message.problem.slug, "detail": message.detail, "notes": notes}
        kind = "error"
    else:
        kind, body = type(message).__name__, asdict(message)
    data: bytes = msgpack.packb([kind, body])
    return len(data).to_bytes(LENGTH_BYTES, "little") + data


def unpack(data: bytes) -> Message:
    """Read a message without its length; raises KeyError, TypeError or ValueError for others."""
    kind, body = msgpack.unpackb(data)
    return READERS[kind](body)


def _error(body: Mapping[str, Any]) -> ServiceError:
    error = ServiceError(BY_SLUG.get(body["problem"], Problem.INTERNAL), body["detail"])
    for note in body["notes"]:
        error.add_note(note)
    return error


def _info(body: dict[str, Any]) -> ClipInfo:
    sound = body.pop("sound")
    return ClipInfo(**body, sound=SoundInfo(**sound) if sound else None)


def _chunk(body: Mapping[str, Any]) -> ClipChunk:
    frames = tuple(
        ClipFrame(frame["time_s"], Picture(**frame["picture"]) if frame["picture"] else None)
        for frame in body["frames"]
    )
    return ClipChunk(frames, ClipSound(**body["sound"]) if body["sound"] else None)


def _totals(body: dict[str, Any]) -> ClipTotals:
    return ClipTotals(**body)


READERS: Mapping[str, Callable[[Any], Message]] = {
    "error": _error,
    "ClipInfo": _info,
    "ClipChunk": _chunk,
    "ClipTotals": _totals,
}
