"""The guard of every handler: whatever one row holds, its neighbours get their answers."""

import logging
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from handlers.base import Answer, DeviceFault, Handler, InputError
from handlers.engines.base import CUDA_OUT_OF_MEMORY
from handlers.engines.choice import chosen
from handlers.wire import Request, pack, unpack


@pytest.fixture(autouse=True, params=[1, 2], ids=["one thread", "two threads"])
def _threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are read by as many threads as compute."""
    monkeypatch.setattr(chosen, "threads", request.param)


class Halver(Handler[int]):
    """Answers n with n / 2; refuses odd numbers, fails on 13, and holds `memory` rows at once."""

    def __init__(self, memory: int = 100) -> None:
        self.memory = memory
        self.batches: list[list[int]] = []

    def decode(self, request: Request) -> int:
        n = request.inputs["n"]
        if n % 2 and n != 13:
            raise InputError("odd", f"{n} is odd")
        return int(n)

    def compute(self, items: Sequence[int]) -> list[Answer]:
        self.batches.append(list(items))
        if len(items) > self.memory:
            raise torch.OutOfMemoryError("too much")
        if 13 in items:
            raise RuntimeError("secret path /tmp/x")
        return [({"half": n // 2}, None if n else b"zero") for n in items]

    def describe(self) -> dict[str, Any]:
        return {"name": "halver"}


def rows(*numbers: int) -> list[bytes]:
    return [pack({"inputs": {"n": n}}) for n in numbers]


def answers(handler: Halver, sent: Sequence[bytes]) -> list[Any]:
    replies = [unpack(reply) for reply in handler.handle(sent)]
    return [
        reply["outputs"]["half"] if "outputs" in reply else reply["error"]["type"]
        for reply in replies
    ]


def test_good_rows_are_computed_in_one_batch_in_order() -> None:
    handler = Halver()
    assert answers(handler, rows(8, 2, 6)) == [4, 1, 3]
    assert handler.batches == [[8, 2, 6]]


def test_no_rows_are_no_batch() -> None:
    handler = Halver()
    assert handler.handle([]) == []
    assert handler.batches == []


def test_the_state_of_a_row_comes_along() -> None:
    (reply,) = Halver().handle(rows(0))
    assert unpack(reply) == {"outputs": {"half": 0}, "state": b"zero"}


def test_an_unreadable_row_spoils_only_itself() -> None:
    handler = Halver()
    sent = [*rows(8), b"\xc1", *rows(3), b"", *rows(2)]
    assert answers(handler, sent) == [4, "invalid-request", "odd", "invalid-request", 1]
    assert handler.batches == [[8, 2]]


def test_the_callers_error_keeps_its_type_and_detail() -> None:
    (reply,) = Halver().handle(rows(3))
    assert unpack(reply) == {"error": {"type": "odd", "detail": "3 is odd"}}


def test_a_batch_that_fails_is_tried_row_by_row(caplog: pytest.LogCaptureFixture) -> None:
    handler = Halver()
    with caplog.at_level(logging.ERROR):
        assert answers(handler, rows(8, 13, 2)) == [4, "internal", 1]
    assert handler.batches == [[8, 13, 2], [8], [13], [2]]
    assert "secret path" in caplog.text
    assert "Traceback" in caplog.text


def test_an_internal_error_tells_nothing_of_the_inside() -> None:
    (reply,) = Halver().handle(rows(13))
    assert "secret" not in unpack(reply)["error"]["detail"]


def test_an_error_while_reading_a_row_is_internal_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert answers(Halver(), [pack({"inputs": {}}), *rows(4)]) == ["internal", 2]
    assert "KeyError" in caplog.text


def test_out_of_memory_halves_the_batch() -> None:
    handler = Halver(memory=2)
    assert answers(handler, rows(2, 4, 6, 8, 10)) == [1, 2, 3, 4, 5]
    assert [len(batch) for batch in handler.batches] == [5, 2, 3, 1, 2]


def test_a_row_that_alone_is_too_large_is_told_so() -> None:
    (reply,) = Halver(memory=0).handle(rows(2))
    assert unpack(reply)["error"]["type"] == "internal"
    assert "memory" in unpack(reply)["error"]["detail"]


def test_a_batch_with_too_few_answers_is_not_mixed_up() -> None:
    class Forgetful(Halver):
        def compute(self, items: Sequence[int]) -> list[Answer]:
            return super().compute(items)[:1]

    assert answers(Forgetful(), rows(2, 4, 6)) == [1, 2, 3]


def test_an_answer_that_cannot_be_packed_spoils_only_itself() -> None:
    class Odd(Halver):
        def compute(self, items: Sequence[int]) -> list[Answer]:
            return [({"half": n // 2 if n != 4 else {1}}, None) for n in items]

    assert answers(Odd(), rows(2, 4, 6)) == [1, "internal", 3]


class Faulty(Halver):
    """Fails as a device does whose context is broken, or whose memory is full."""

    def __init__(self, code: int) -> None:
        super().__init__()
        self.code = code

    def compute(self, items: Sequence[int]) -> list[Answer]:
        if len(items) > 1:
            error = torch.AcceleratorError("CUDA error")
            error.error_code = self.code
            raise error
        return super().compute(items)


def test_a_broken_device_is_no_rows_fault_and_is_raised() -> None:
    with pytest.raises(DeviceFault, match="CUDA error"):
        Faulty(code=710).handle(rows(8, 2))


def test_a_device_that_is_full_gets_smaller_batches() -> None:
    assert answers(Faulty(CUDA_OUT_OF_MEMORY), rows(8, 2, 6)) == [4, 1, 3]
