"""A TorchServe that is kept running: started again when it dies or goes ill, stopped as a whole."""

import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress

PERIOD_S = 0.5
PING_PERIOD_S = 5.0
MOST_MISSED_PINGS = 3
STARTING_S = 60.0
STOP_S = 12.0
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
STEADY_S = 120.0

logger = logging.getLogger(__name__)

Process = subprocess.Popen[bytes]


def keep_running(
    start: Callable[[], Process], ping: Callable[[], bool], stopping: threading.Event
) -> None:
    """Start the server, again after every death or illness, until `stopping` is set.

    `start` gives a process that leads its own group; `ping` says whether it answers and is well.
    Pauses between starts grow, up to half a minute, while the server does not last.
    """
    pause_s = FIRST_PAUSE_S
    while not stopping.is_set():
        started = time.monotonic()
        process = start()
        try:
            reason = watch(process, ping, stopping)
        finally:
            stop(process)
        if stopping.is_set():
            return
        lasted = time.monotonic() - started > STEADY_S
        pause_s = FIRST_PAUSE_S if lasted else min(pause_s * 2, LONGEST_PAUSE_S)
        logger.error("TorchServe %s; started again in %.0f s", reason, pause_s)
        stopping.wait(pause_s)


def watch(process: Process, ping: Callable[[], bool], stopping: threading.Event) -> str:
    """Return, and say why, when the process has ended, misses pings in a row, or is to stop."""
    missed, answered = 0, False
    started = pinged = time.monotonic()
    while not stopping.wait(PERIOD_S):
        if process.poll() is not None:
            return f"ended with status {process.returncode}"
        now = time.monotonic()
        if now - pinged < PING_PERIOD_S:
            continue
        well = ping()
        answered |= well
        missed = 0 if well else missed + 1
        if missed >= MOST_MISSED_PINGS and (answered or now - started > STARTING_S):
            return f"is ill: {missed} pings in a row went wrong"
        pinged = time.monotonic()
    return "is told to stop"


def stop(process: Process) -> None:
    """End the server and its workers: asked first, made to after STOP_S; nothing lingers."""
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
