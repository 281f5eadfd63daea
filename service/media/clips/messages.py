"""The child's messages to the service: what a clip declares, chunks, totals, or an error."""

from collections.abc import Callable, Iterator, Mapping
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


def pack(message: Message) -> list[bytes]:
    """Write a message as buffers that follow each other: length, msgpack, and pictures bare.

    The msgpack ends with the sizes of the pictures, so that nobody copies these into it.
    """
    pictures: list[bytes] = []
    kind, body = type(message).__name__, _body(message, pictures)
    head: bytes = msgpack.packb([kind, body, [len(pixels) for pixels in pictures]])
    return [len(head).to_bytes(LENGTH_BYTES, "little"), head, *pictures]


def unpack(head: bytes) -> tuple[str, dict[str, Any], list[int]]:
    """Read a message's msgpack: its kind, its body, and the sizes of the pictures behind it."""
    kind, body, sizes = msgpack.unpackb(head)
    return kind, body, sizes


def build(kind: str, body: dict[str, Any], pictures: list[bytes]) -> Message:
    """Make the message of what was unpacked and of the pictures behind it."""
    if kind == ClipChunk.__name__:
        return _chunk(body, iter(pictures))
    return READERS[kind](body)


def _body(message: Message, pictures: list[bytes]) -> dict[str, Any]:
    """A message as a map; pictures go into the list, their sizes stay."""
    if isinstance(message, ServiceError):
        notes = list(getattr(message, "__notes__", []))
        return {"problem": message.problem.slug, "detail": message.detail, "notes": notes}
    if not isinstance(message, ClipChunk):
        return asdict(message)
    shown = [frame.picture for frame in message.frames]
    pictures += [picture.rgb for picture in shown if picture]
    return {
        "times_s": [frame.time_s for frame in message.frames],
        "shapes": [picture and (picture.width, picture.height, picture.scale) for picture in shown],
        "sound": message.sound and (message.sound.start, message.sound.pcm),
    }


def _error(body: Mapping[str, Any]) -> ServiceError:
    error = ServiceError(BY_SLUG.get(body["problem"], Problem.INTERNAL), body["detail"])
    for note in body["notes"]:
        error.add_note(note)
    return error


def _info(body: dict[str, Any]) -> ClipInfo:
    sound = body.pop("sound")
    return ClipInfo(**body, sound=SoundInfo(**sound) if sound else None)


def _chunk(body: Mapping[str, Any], pictures: Iterator[bytes]) -> ClipChunk:
    frames = []
    for time_s, shape in zip(body["times_s"], body["shapes"], strict=True):
        picture = None
        if shape:
            width, height, scale = shape
            picture = Picture(width, height, next(pictures), scale)
        frames.append(ClipFrame(time_s, picture))
    return ClipChunk(tuple(frames), ClipSound(*body["sound"]) if body["sound"] else None)


def _totals(body: dict[str, Any]) -> ClipTotals:
    return ClipTotals(**body)


READERS: Mapping[str, Callable[[Any], Message]] = {
    "ServiceError": _error,
    "ClipInfo": _info,
    "ClipTotals": _totals,
}
