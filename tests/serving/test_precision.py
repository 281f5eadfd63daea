"""Half precision is used where it errs little and is faster, and never otherwise."""

import time
from pathlib import Path

import pytest
import torch

from handlers.affect import AffectHandler
from handlers.align import AlignHandler
from handlers.torchserve.precision import HalfPrecision, choose_precision, largest_difference
from handlers.torchserve.warming import face_row, sizes_of, warm_up
from handlers.track import TrackHandler
from handlers.wire import pack, unpack

STORE = Path(__file__).parents[2] / "model_store"
HANDLERS = {"align": AlignHandler, "track": TrackHandler, "affect": AffectHandler}


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
    chosen = choose_precision(handler, lambda step, state: b"row", 1, "cpu")
    assert isinstance(chosen, HalfPrecision) is used
    assert chosen.describe().get("precision") == ("float16" if used else None)


class Drifting:
    """Answers with its state, which autocast makes wronger at every step."""

    def handle(self, rows):
        states = [unpack(row)["state"] or 0.0 for row in rows]
        error = 0.1 if torch.is_autocast_enabled("cpu") else 0.0
        time.sleep(0.0 if error else 0.02)
        return [pack({"outputs": {"box": [x + error]}, "state": x + error}) for x in states]

    def describe(self):
        return {"name": "track"}


def test_errors_that_add_up_over_the_steps_of_a_session_count():
    exact = choose_precision(Drifting(), lambda step, state: pack({"state": state}), 2, "cpu")
    assert isinstance(exact, Drifting)


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
@pytest.mark.parametrize("model", HANDLERS)
def test_every_model_in_half_precision_errs_little_and_its_states_fit_both_ways(model):
    exact = HANDLERS[model](STORE)
    half = HalfPrecision(exact, "cpu")
    warm_up(half, model, [1])
    first = [unpack(handler.handle([face_row(model)])[0]) for handler in (exact, half)]
    assert largest_difference(*first) < 0.25
    swapped = zip((half, exact), first, strict=True)
    rows = [(handler, face_row(model, 1, reply.get("state"))) for handler, reply in swapped]
    second = [unpack(handler.handle([row])[0]) for handler, row in rows]
    assert largest_difference(*second) < 0.25
