"""Independent computations of one question, side by side where a core is free."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")

_others = ThreadPoolExecutor(
    max(len(os.sched_getaffinity(0)) - 1, 1), thread_name_prefix="computing-beside"
)


def run_all(calls: Sequence[Callable[[], Result]], in_parallel: bool) -> list[Result]:
    """The results of all calls, in order; in parallel the first is made here, the others beside it.

    What no other thread has begun by then is made here, too: where all cores have work, nothing is
    waited for. Engines give up Python's lock while they compute. Raises what a call raises.
    """
    if not in_parallel:
        return [call() for call in calls]
    waiting = [_others.submit(call) for call in calls[1:]]
    try:
        results = [call() for call in calls[:1]]
        for call, future in zip(calls[1:], waiting, strict=True):
            results.append(call() if future.cancel() else future.result())
    finally:
        for future in waiting:
            future.cancel()
    return results
