"""The process that reads one clip, and its messages: what it declares, chunks, totals, an error.

`python -m service.media.clips.child PARENT LIMITS SAMPLING`, the last two as JSON; the clip's file
is its standard input, its messages are its standard output.
"""

import json
import os
import sys
import traceback
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import msgpack

from service.errors import Problem, ServiceError
from service.media.clips.contents import ClipChunk, ClipInfo, ClipTotals, Sampling
from service.media.clips.limits import ClipLimits, bound_this_process

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


def _body(message: Message, pictures: list[bytes]) -> dict[str, Any]:
    """Return a message as a map; pictures go into the list, their sizes stay."""
    if isinstance(message, ServiceError):
        notes = list(getattr(message, "__notes__", []))
        return {"problem": message.problem.slug, "detail": message.detail, "notes": notes}
    if not isinstance(message, ClipChunk):
        return asdict(message)
    shown = [frame.picture for frame in message.frames]
    pictures += [picture.rgb for picture in shown if picture]
    return {
        "times_s": [frame.time_s for frame in message.frames],
        "numbers": [frame.number for frame in message.frames],
        "shapes": [picture and (picture.width, picture.height, picture.scale) for picture in shown],
        "sound": message.sound and (message.sound.start, message.sound.pcm),
    }


def main() -> None:
    """Read the clip to its end, writing no faster than is read at the other side."""
    # Imported before the limits hold, so that they are there for the clip alone.
    from service.media.clips import reading
    from service.media.clips.limits import load_library, shut_in

    limits, sampling = ClipLimits(**json.loads(sys.argv[2])), Sampling(**json.loads(sys.argv[3]))
    # Written before there is too little memory to write it.
    needs_memory, library = pack(_needs_memory(limits)), load_library()
    bound_this_process(limits, int(sys.argv[1]))
    shut_in(library)
    try:
        for message in guarded(reading.read_clip(0, limits, sampling)):
            _write(pack(message))
    except MemoryError:
        _write(needs_memory)


def guarded(messages: Iterator[Message]) -> Iterator[Message]:
    """Pass messages on, and as the last one what stopped them; raises MemoryError alone."""
    try:
        yield from messages
    except ServiceError as error:
        yield error
    except MemoryError:
        raise
    except Exception as error:
        yield _failure(error)


def _failure(error: Exception) -> ServiceError:
    """Return the error for the client: what FFmpeg or PyAV trips over lies in the clip."""
    failure = ServiceError(
        Problem.INVALID_CLIP, "there is something in it that cannot be read; convert it, say to mp4"
    )
    failure.add_note("".join(traceback.format_exception(error)))
    return failure


def _write(buffers: list[bytes]) -> None:
    for buffer in buffers:
        view = memoryview(buffer)
        while view:
            view = view[os.write(1, view) :]


def _needs_memory(limits: ClipLimits) -> ServiceError:
    return ServiceError(
        Problem.CLIP_TOO_COSTLY,
        f"reading it takes more than {limits.memory_bytes // 2**20} MiB of memory",
    )


if __name__ == "__main__":
    main()
