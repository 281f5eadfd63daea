"""`python -m handlers.torchserve.mute COMMAND...`: run Java, which then listens for no gRPC.

TorchServe always serves gRPC as well, its management too, on a port of the loopback interface and
without a password, and no setting turns that off. So the kernel is told to do nothing where the
process asks to listen as gRPC's server does: its ports stay closed. The filter (seccomp) needs no
right, is inherited and cannot be taken off.
"""

import ctypes
import os
import platform
import struct
import sys
from collections.abc import Sequence
from pathlib import Path

# gRPC asks for as long a queue as the kernel gives; REST and the workers ask for others.
LONGEST_QUEUE = Path("/proc/sys/net/core/somaxconn")
QUEUES_OF_OTHERS = (1, 1024)
# Of each machine: how the kernel names it, and its number of the call `listen`.
MACHINES = {"x86_64": (0xC000003E, 50), "aarch64": (0xC00000B7, 201)}

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, DO_NOTHING = 0x7FFF0000, 0x00050000
ARCHITECTURE_AT, CALL_AT, SECOND_ARGUMENT_AT = 4, 0, 24


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def grpc_queue() -> int | None:
    """Return the queue that gRPC asks for; None where it cannot be told from others, or at all."""
    try:
        queue = int(LONGEST_QUEUE.read_text())
    except (OSError, ValueError):
        return None
    known = platform.machine() in MACHINES and queue not in QUEUES_OF_OTHERS
    return queue if known else None


def filter_of(machine: str, queue: int) -> bytes:
    """Return the filter's instructions (16-bit code, two 8-bit jumps, 32-bit constant each)."""
    architecture, listen = MACHINES[machine]
    steps = [
        (LOAD, 0, 0, ARCHITECTURE_AT),
        (JUMP_IF_EQUAL, 0, 5, architecture),
        (LOAD, 0, 0, CALL_AT),
        (JUMP_IF_EQUAL, 0, 3, listen),
        (LOAD, 0, 0, SECOND_ARGUMENT_AT),
        (JUMP_IF_EQUAL, 0, 1, queue),
        (RETURN, 0, 0, DO_NOTHING),
        (RETURN, 0, 0, ALLOW),
    ]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def mute_grpc(queue: int) -> None:
    """Put the filter on this process and all that it starts; raises OSError where that fails."""
    system = ctypes.CDLL(None, use_errno=True)
    code = filter_of(platform.machine(), queue)
    program = _Program(len(code) // 8, code)
    if system.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or system.prctl(
        PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0
    ):
        raise OSError(ctypes.get_errno(), "the kernel takes no filter")


def main(command: Sequence[str]) -> None:
    """Become the command, which listens for no gRPC."""
    try:
        if (queue := grpc_queue()) is None:
            raise OSError("there is no filter for this machine")
        mute_grpc(queue)
    except OSError as error:
        sys.stderr.write(f"gRPC stays open on loopback: {error}\n")
    os.execv(command[0], list(command))


if __name__ == "__main__":
    main(sys.argv[1:])
