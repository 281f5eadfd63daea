"""Calls side by side: their results in order, and nothing that waits for a thread to be free."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier

import pytest

from handlers.engines.choice import HAS_PRIORITIES, niceness, run_all, step_back


@pytest.mark.parametrize("in_parallel", [True, False])
def test_results_are_in_the_order_of_the_calls(in_parallel: bool) -> None:
    assert run_all([partial(divmod, n, 7) for n in range(50)], in_parallel) == [
        divmod(n, 7) for n in range(50)
    ]
    assert run_all([], in_parallel) == []


def test_the_first_call_is_made_by_who_asks() -> None:
    found = run_all([threading.get_ident] * 2, in_parallel=True)
    assert found[0] == threading.get_ident()


def test_calls_that_others_are_too_busy_for_are_made_by_who_asks() -> None:
    done = threading.Event()
    busy = [partial(done.wait, 60)] * 40  # more than there are threads
    asking = threading.Thread(target=run_all, args=([done.is_set, *busy], True))
    asking.start()
    try:
        here = threading.get_ident()
        assert run_all([threading.get_ident] * 3, in_parallel=True) == [here] * 3
    finally:
        done.set()
        asking.join()


def test_what_a_call_raises_is_raised() -> None:
    for calls in ([partial(int, "a"), int], [int, partial(int, "a")]):
        with pytest.raises(ValueError, match="invalid literal"):
            run_all(calls, in_parallel=True)


needs_priorities = pytest.mark.skipif(not HAS_PRIORITIES, reason="threads have no priorities here")


@needs_priorities
def test_what_a_thread_that_has_stepped_back_computes_beside_itself_steps_back_too() -> None:
    own = niceness()

    def compute() -> list[int]:
        both = Barrier(2, timeout=60)

        def one() -> int:
            both.wait()
            return niceness()

        return run_all([one, one], in_parallel=True)

    def late() -> list[int]:
        step_back(own + 7)
        step_back(own + 3)  # nobody comes forward again
        return compute()

    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one core has nothing beside it")
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        assert one.submit(late).result() == [own + 7] * 2
        assert other.submit(compute).result() == [own] * 2
