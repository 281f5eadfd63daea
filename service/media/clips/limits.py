"""Limits of one clip, and the operating system's bounds on the process that reads it."""

import ctypes
import errno
import os
import resource
import signal
import sys
from dataclasses import dataclass
from typing import Any

MOST_FILES = 64  # open at once: the clip, pipes and libraries
PADDING_S = 0.5  # coders pad the end of a clip with so much
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


@dataclass(frozen=True)
class ClipLimits:
    """Bounds of one clip; `stall_s` is the longest wait for the next chunk."""

    duration_s: float = 600.0
    pixels: int = 3840 * 2160
    frames: int = 72_000
    streams: int = 32
    memory_bytes: int = 768 * 2**20
    cpu_s: int = 300
    stall_s: float = 20.0

    def is_too_long(self, end_s: float) -> bool:
        """Tell whether a clip that reaches `end_s` is longer than it may; coders pad a little."""
        return end_s > self.duration_s + PADDING_S


def bound_this_process(limits: ClipLimits, parent: int) -> None:
    """Bound this process, for good: memory, processor time, no new files, not outliving `parent`.

    Raises SystemExit where the parent is gone already.
    """
    _lower(resource.RLIMIT_DATA, limits.memory_bytes)
    _lower(resource.RLIMIT_CPU, limits.cpu_s, limits.cpu_s + 1)
    _lower(resource.RLIMIT_FSIZE, 0)
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_NOFILE, MOST_FILES)
    if sys.platform == "linux":
        system = ctypes.CDLL(None)
        system.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        system.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
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


def shut_in(library: Any) -> bool:
    """Refuse this process every other call, for good; False where the system cannot."""
    if library is None:
        return False
    try:
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
