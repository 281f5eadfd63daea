"""A TorchServe that is kept running: started again when it dies or goes ill, stopped as a whole."""

import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

logger = logging.getLogger(__name__)

Process = subprocess.Popen[bytes]


@dataclass(frozen=True)
class Pace:
    """Intervals and limits of watching, in seconds.

    A server is ill after `most_missed` pings in a row; while it starts, for `starting_s`, none is
    counted. Pauses between two starts double up to the longest, until one has lasted `steady_s`.
    """

    look_s: float = 0.5
    ping_s: float = 5.0
    most_missed: int = 3
    starting_s: float = 60.0
    stop_s: float = 12.0
    pause_s: float = 1.0
    longest_pause_s: float = 30.0
    steady_s: float = 120.0


def keep_running(
    start: Callable[[], Process],
    ping: Callable[[], bool],
    stopping: threading.Event,
    pace: Pace | None = None,
) -> None:
    """Start the server, again after every death or illness, until `stopping` is set.

    `start` gives a process that leads its own group; `ping` says whether it answers and is well.
    """
    pace = pace or Pace()
    pause_s = pace.pause_s
    while not stopping.is_set():
        started = time.monotonic()
        process = start()
        try:
            reason = watch(process, ping, stopping, pace)
        finally:
            stop(process, pace.stop_s)
        if stopping.is_set():
            return
        if time.monotonic() - started > pace.steady_s:
            pause_s = pace.pause_s
        logger.error("TorchServe %s; it is started again in %.1f s", reason, pause_s)
        stopping.wait(pause_s)
        pause_s = min(pause_s * 2, pace.longest_pause_s)


def watch(process: Process, ping: Callable[[], bool], stopping: threading.Event, pace: Pace) -> str:
    """Return, and say why, when the process has ended, misses pings in a row, or is to stop."""
    missed, answered = 0, False
    started = pinged = time.monotonic()
    while not stopping.wait(pace.look_s):
        if process.poll() is not None:
            return f"has ended with status {process.returncode}"
        if time.monotonic() - pinged < pace.ping_s:
            continue
        well = ping()
        pinged = time.monotonic()
        answered |= well
        counts = answered or pinged - started > pace.starting_s
        missed = missed + 1 if counts and not well else 0
        if missed >= pace.most_missed:
            return f"is ill, {missed} pings in a row went wrong"
    return "is told to stop"


def stop(process: Process, stop_s: float = Pace.stop_s) -> None:
    """End the server and its workers: asked first, made to after a while; nothing lingers."""
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(stop_s)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
