"""The process that reads one clip, restricted by the operating system, and its messages.

`python -m service.media.clips.child PARENT LIMITS SAMPLING`, the last two as JSON; the clip's file
is its standard input, its messages are its standard output.
"""

import ctypes
import errno
import fcntl
import json
import os
import resource
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import msgpack

from service.errors import Problem, ServiceError
from service.media.clips.contents import ClipChunk, ClipInfo, ClipLimits, ClipTotals, Sampling

Message = ClipInfo | ClipChunk | ClipTotals | ServiceError
LENGTH_BYTES = 4
PIPE_BYTES = 2**20  # a picture fits: neither side is woken for every 64 KiB of it
MOST_FILES = 64  # open at once: the clip, pipes and libraries
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
# All that reading an open file, working in memory and writing to an open pipe takes.
ALLOWED = (
    *("read", "pread64", "readv", "write", "writev", "lseek", "_llseek", "close", "fstat"),
    *("mmap", "mmap2", "munmap", "mremap", "mprotect", "madvise", "brk", "futex", "rseq"),
    *("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall"),
    *("getpid", "getppid", "gettid", "tgkill", "getrusage", "sched_yield", "sched_getaffinity"),
    *("clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "getrandom"),
    *("exit", "exit_group"),
)
# The call that asks of an open file what `fstat` did, not of a path.
STAT, STAT_FLAGS, AT_EMPTY_PATH = "newfstatat", 3, 0x1000


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

    limits, sampling = ClipLimits(**json.loads(sys.argv[2])), Sampling(**json.loads(sys.argv[3]))
    # Written before there is too little memory to write it.
    needs_memory, library = pack(_needs_memory(limits)), load_library()
    _widen_pipe()
    bound_this_process(limits, int(sys.argv[1]))
    restrict_calls(library)
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
    # To `main`, which has its message ready: there is no memory to make one.
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
            # A pipe takes less than it is given where the other side does not read.
            view = view[os.write(1, view) :]


def _widen_pipe() -> None:
    """Let the pipe hold more, where there is such a call and this user may."""
    if sys.platform == "linux":
        with suppress(OSError):
            fcntl.fcntl(1, fcntl.F_SETPIPE_SZ, PIPE_BYTES)


def _needs_memory(limits: ClipLimits) -> ServiceError:
    return ServiceError(
        Problem.CLIP_TOO_COSTLY,
        f"reading it takes more than {limits.memory_bytes // 2**20} MiB of memory",
    )


def bound_this_process(limits: ClipLimits, parent: int) -> None:
    """Bound this process, for good: memory, processor time, no new files, not outliving `parent`.

    Raises SystemExit where the parent is gone already.
    """
    _lower(resource.RLIMIT_DATA, limits.memory_bytes)
    # First a signal that tells the reason, a second later the end.
    _lower(resource.RLIMIT_CPU, limits.cpu_s, limits.cpu_s + 1)
    _lower(resource.RLIMIT_FSIZE, 0)
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_NOFILE, MOST_FILES)
    if sys.platform == "linux":
        system = ctypes.CDLL(None)
        system.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        system.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    # The parent may have ended before the call above: its signal would never come.
    if os.getppid() != parent:
        raise SystemExit(1)


def _lower(what: int, soft: int, hard: int | None = None) -> None:
    """Set a limit, as far as the one in force lets it."""
    most = resource.getrlimit(what)[1]
    values = (soft, soft if hard is None else hard)
    if most != resource.RLIM_INFINITY:
        values = (min(values[0], most), min(values[1], most))
    resource.setrlimit(what, values)


def load_library() -> Any:
    """Find the library of seccomp; None without one. It starts a process, so before the cage."""
    if sys.platform != "linux":
        return None
    try:
        import pyseccomp
    except (ImportError, OSError, RuntimeError):
        return None
    return pyseccomp


def restrict_calls(library: Any) -> bool:
    """Refuse this process every other call, for good; False where the system cannot."""
    if library is None:
        return False
    try:
        # Refused calls fail instead of killing: libraries try some that they can do without.
        cage = library.SyscallFilter(library.ERRNO(errno.EPERM))
        for name in ALLOWED:
            if _is_known(library, name):
                cage.add_rule(library.ALLOW, name)
        if _is_known(library, STAT):
            empty = library.Arg(STAT_FLAGS, library.MASKED_EQ, AT_EMPTY_PATH, AT_EMPTY_PATH)
            cage.add_rule(library.ALLOW, STAT, empty)
        cage.load()
    except (OSError, RuntimeError, ValueError):
        return False
    return True


def _is_known(library: Any, name: str) -> bool:
    """Tell whether this kind of processor has a call of the name."""
    try:
        return int(library.resolve_syscall(library.system_arch(), name)) >= 0
    except (OSError, RuntimeError, ValueError):
        return False


if __name__ == "__main__":
    main()
