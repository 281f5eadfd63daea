"""The process that reads one clip: its file is standard input, its messages standard output.

`python -m service.media.clips.child PARENT LIMITS SAMPLING`, the last two as JSON.
"""

import json
import os
import sys
import traceback
from collections.abc import Iterator

from service.errors import Problem, ServiceError
from service.media.clips.limits import ClipLimits, bound_this_process


def main() -> None:
    """Read the clip to its end, writing no faster than is read at the other side."""
    # Imported before the limits hold, so that they are there for the clip alone.
    from service.media.clips.contents import Sampling
    from service.media.clips.messages import Message, pack
    from service.media.clips.reading import Reading

    limits, sampling = ClipLimits(**json.loads(sys.argv[2])), Sampling(**json.loads(sys.argv[3]))

    def messages() -> Iterator[Message]:
        reading = Reading(0, limits, sampling)
        yield reading.info
        yield from reading.chunks()
        yield reading.totals

    # Written before there is too little memory to write it.
    needs_memory = pack(_needs_memory(limits))
    bound_this_process(limits, int(sys.argv[1]))
    try:
        try:
            for message in messages():
                _write(pack(message))
        except ServiceError as error:
            _write(pack(error))
        except MemoryError:
            raise
        except Exception as error:
            _write(pack(_failure(error)))
    except MemoryError:
        _write(needs_memory)


def _failure(error: Exception) -> ServiceError:
    failure = ServiceError(Problem.INTERNAL, "the clip's reader failed")
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
