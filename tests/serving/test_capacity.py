"""The search for how many live sessions are served in time, and what its clients tell."""

import pytest

from tests.bench.capacity import FINE, Search, judged
from tests.bench.loads import Tally


@pytest.mark.parametrize("most", [0, 1, 3, 7, 20, 97, 250])
def test_the_number_is_found_to_an_eighth_in_few_trials(most: int) -> None:
    search, trials = Search(), 0
    for count in search:
        search.note(count, count <= most)
        trials += 1
    assert search.fits <= most <= max(search.fits + 1, search.fits * (1 + FINE) + 1)
    assert trials <= 14


def test_a_trial_says_where_its_clients_were_late() -> None:
    slow, fast = Tally(latencies_ms=[80.0] * 40), Tally(latencies_ms=[20.0] * 40)
    slow.late_ms, fast.late_ms = [9.0] * 40, [0.2] * 40
    found = [judged(one.summary(1.0, 0.0), one) for one in (slow, fast)]
    assert [one["is_served"] for one in found] == [False, True]
    assert [one["clients_are_the_limit"] for one in found] == [True, False]
    slow.add(fast)
    assert len(slow.late_ms) == 80
