"""A process shut in to what it has open: no file, no network, no other process (child).

By seccomp, which needs no rights and works in containers; where the system has none, what remains
are the bounds of `limits`, no rights to gain, an empty environment and no other open file.
"""

import errno
import sys
from typing import Any

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
    """Whether this kind of processor has a call of the name."""
    try:
        return int(library.resolve_syscall(library.system_arch(), name)) >= 0
    except (OSError, RuntimeError, ValueError):
        return False
