"""Half precision is used where it errs little and is faster, and never otherwise."""

import time
from pathlib import Path

import pytest
import torch

from handlers.torchserve.precision import HalfPrecision, choose_precision, largest_difference
from handlers.torchserve.warming import first_row, sizes_of, warm_up
from handlers.track import TrackHandler
from handlers.wire import pack, unpack

STORE = Path(__file__).parents[2] / "model_store"


class Rounding:
    """Answers with a number that autocast makes wrong by `error`, and `slow_s` later."""

    def __init__(self, error: float, slow_s: float = 0.0) -> None:
        self.error = error
        self.slow_s = slow_s

    def handle(self, rows):
        half = torch.is_autocast_enabled("cpu")
        time.sleep(0.02 + (self.slow_s if half else 0.0) - (0.01 if half else 0.0))
        x = 1.0 + (self.error if half else 0.0)
        return [pack({"outputs": {"box": [x], "timings_ms": {"a": time.time()}}}) for _ in rows]

    def describe(self):
        return {"name": "track"}


@pytest.mark.parametrize(
    ("handler", "used"),
    [
        (Rounding(0.1), True),
        (Rounding(0.5), False),
        (Rounding(float("nan")), False),
        (Rounding(0.0, slow_s=0.1), False),
    ],
)
def test_half_precision_must_err_little_and_be_faster(handler, used):
    chosen = choose_precision(handler, [b"row"], "cpu")
    assert isinstance(chosen, HalfPrecision) is used
    assert chosen.describe().get("precision") == ("float16" if used else None)


@pytest.mark.parametrize(
    ("one", "other", "difference"),
    [
        ({"a": [1.0, 2.0]}, {"a": [1.0, 2.5]}, 0.5),
        ({"a": 1}, {"b": 1}, float("inf")),
        ([1.0], [1.0, 2.0], float("inf")),
        ({"a": None}, {"a": 1.0}, float("inf")),
        ({"a": "x", "timings_ms": 1.0}, {"a": "y", "timings_ms": 9.0}, 0.0),
    ],
)
def test_replies_are_compared_number_by_number(one, other, difference):
    assert largest_difference(one, other) == difference


def test_a_gpu_is_warmed_up_for_every_doubling_and_a_processor_for_the_ends():
    assert sizes_of(16, on_gpu=True) == [1, 2, 4, 8, 16]
    assert sizes_of(12, on_gpu=True) == [1, 2, 4, 8, 12]
    assert sizes_of(1, on_gpu=True) == sizes_of(1, on_gpu=False) == [1]
    assert sizes_of(16, on_gpu=False) == [1, 16]


@pytest.mark.slow
def test_the_tracker_in_half_precision_errs_little_and_its_states_fit_both_ways():
    exact = TrackHandler(STORE)
    half = HalfPrecision(exact, "cpu")
    warm_up(half, "track", [1])
    row = unpack(first_row("track"))
    replies = [unpack(handler.handle([pack(row)])[0]) for handler in (exact, half)]
    assert [reply["outputs"]["status"] for reply in replies] == ["tracking", "tracking"]
    assert largest_difference(*replies) < 0.25
    for handler, reply in zip((half, exact), replies, strict=True):
        (answer,) = handler.handle([pack({**row, "state": reply["state"]})])
        assert unpack(answer)["outputs"]["status"] == "tracking"
