"""Independent computations of one question, side by side where a core is free; whose turn is last.

A thread that has stepped back gets what processor time the others leave; what it computes beside
itself does so, too.
"""

import os
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

Result = TypeVar("Result")

LAST = 19
# Elsewhere a thread has no priority of its own.
HAS_PRIORITIES = sys.platform == "linux"


def run_all(calls: Sequence[Callable[[], Result]], in_parallel: bool) -> list[Result]:
    """The results of all calls, in order; in parallel the first is made here, the others beside it.

    What no other thread has begun by then is made here, too: where all cores have work, nothing is
    waited for. Engines give up Python's lock while they compute. Raises what a call raises.
    """
    if not in_parallel:
        return [call() for call in calls]
    waiting = [others().submit(call) for call in calls[1:]]
    try:
        results = [call() for call in calls[:1]]
        for call, future in zip(calls[1:], waiting, strict=True):
            results.append(call() if future.cancel() else future.result())
    finally:
        for future in waiting:
            future.cancel()
    return results


def step_back(to: int) -> None:
    """Lower this thread's priority for good: 0 is the usual one, 19 the last."""
    if HAS_PRIORITIES and to > niceness():
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), min(to, LAST))


def niceness() -> int:
    """Return how far this thread has stepped back."""
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) if HAS_PRIORITIES else 0


def others() -> ThreadPoolExecutor:
    """The threads that compute beside this one, as far stepped back as it is."""
    return _others(niceness())


@cache
def _others(to: int) -> ThreadPoolExecutor:
    """The threads that compute beside those that have stepped back so far."""
    most = max(len(os.sched_getaffinity(0)) - 1, 1)
    return ThreadPoolExecutor(most, "computing-beside", step_back, (to,))
