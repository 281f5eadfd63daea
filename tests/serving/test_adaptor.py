"""The adaptor as TorchServe's worker calls it: rows in, rows out, and models that do not load."""

from itertools import zip_longest

import pytest

from handlers.torchserve.adaptor import Adaptor, device_of
from handlers.torchserve.models import sizes_of
from handlers.torchserve.watching import DESCRIBE
from handlers.wire import pack, unpack
from service.inference import DESCRIBE as ASKED_BY_THE_SERVICE
from service.inference.gathering import Row
from service.inference.remote.calls import pack_rows, unpack_replies


class FakeContext:
    """What a worker's context holds."""

    model_name = "track"

    def __init__(self, store, gpu_id=None, on_gpu=False) -> None:
        options = {"model_store": str(store), "threads": 1, "workers": 3, "rows": 4}
        options |= {"on_gpu": on_gpu, "cuda_graphs": False}
        self.model_yaml_config = {"countenance": options}
        self.system_properties = {"gpu_id": gpu_id}


class Echo:
    """Answers each row with itself; remembers how many came together."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def handle(self, rows):
        self.batches.append(len(rows))
        replies = [pack({"outputs": unpack(row)}) for row in rows]
        return [
            pack({"error": {"type": "invalid-request", "detail": "no"}}) if b"bad" in row else reply
            for row, reply in zip(rows, replies, strict=True)
        ]

    def describe(self):
        return {"name": "track"}


class EchoAdaptor(Adaptor):
    """Echoes, unless the store says that its weights are broken."""

    load_again_s = 0.0

    def make(self, store, device):
        if (store / "broken").exists():
            raise ValueError("the weights do not fit")
        return Echo()


def asked(*rows: dict[str, object], ids: tuple[str | None, ...] = ()) -> bytes:
    """A request of these rows, each with its request's id."""
    return pack_rows([Row(pack(row), found) for row, found in zip_longest(rows, ids[: len(rows)])])


def data(*bodies: bytes) -> list[dict[str, bytes]]:
    """A batch of requests as TorchServe gives it."""
    return [{"body": body} for body in bodies]


def outputs(reply: bytes, rows: int) -> list[object]:
    return [unpack(each.body)["outputs"] for each in unpack_replies(reply, rows)]


@pytest.fixture
def adaptor(tmp_path):
    adaptor = EchoAdaptor()
    adaptor.initialize(FakeContext(tmp_path))
    return adaptor


def test_the_rows_of_a_request_are_one_batch_and_each_is_told_of_it(adaptor):
    (found,) = adaptor.handle(data(asked({"n": 1}, {"n": 2})), None)
    assert outputs(found, 2) == [{"n": 1}, {"n": 2}]
    assert adaptor._handler.batches == [2]
    for reply in unpack_replies(found, 2):
        assert reply.batch.rows == 2
        assert reply.batch.seconds >= 0.0


def test_a_question_about_the_model_is_answered_among_the_others(adaptor):
    (_, reply, _) = adaptor.handle(data(asked({"n": 1}), DESCRIBE, asked({"n": 2})), None)
    told = {"description": {"name": "track"}, "device": "cpu", "workers": 3}
    assert unpack(reply)["outputs"] == told


@pytest.mark.parametrize(
    "body",
    [b"", b"\xc1", pack({}), pack({"rows": 1}), pack({"rows": [1], "request_ids": [None]})]
    + [pack({"rows": [b""], "request_ids": []})],
)
def test_a_request_that_is_none_spoils_only_itself(adaptor, body):
    good, bad = adaptor.handle(data(asked({"n": 1}), body), None)
    assert outputs(good, 1) == [{"n": 1}]
    assert unpack(bad)["error"]["type"] == "invalid-request"


def test_service_and_workers_ask_about_a_model_in_the_same_bytes():
    assert DESCRIBE == ASKED_BY_THE_SERVICE


def test_a_row_that_is_refused_is_logged_with_its_request(adaptor, caplog):
    caplog.set_level("INFO")
    adaptor.handle(data(asked({"n": 1}, {"n": "bad"}, ids=("a", "b"))), None)
    (line,) = [line for line in caplog.messages if "refused" in line]
    assert "request_id=b" in line


def test_a_request_is_logged_once_however_many_rows_it_has(adaptor, caplog):
    caplog.set_level("INFO")
    for _ in range(3):
        adaptor.handle(data(asked({"n": 1}, {"n": 2}, ids=("a", None))), None)
    adaptor.handle(data(asked({"n": 1}, {"n": 2}, ids=("b", "a"))), None)
    assert caplog.messages == ["rows answered: request_ids=a", "rows answered: request_ids=b"]


def test_a_handler_that_loses_a_row_fails_as_a_whole(adaptor):
    adaptor._handler.handle = lambda rows: [b""] * (len(rows) - 1)
    with pytest.raises(RuntimeError, match="1 replies came for 2 rows"):
        adaptor.handle(data(asked({"n": 1}, {"n": 2})), None)


def test_a_model_that_does_not_load_says_why_and_is_tried_again(tmp_path):
    (tmp_path / "broken").touch()
    adaptor, context = EchoAdaptor(), FakeContext(tmp_path)
    adaptor.initialize(context)
    for reply in adaptor.handle(data(asked({"n": 1}, {"n": 2}), DESCRIBE), context):
        error = unpack(reply)["error"]
        assert error["type"] == "unavailable"
        assert "the weights do not fit" in error["detail"]
    (tmp_path / "broken").unlink()
    (reply,) = adaptor.handle(data(asked({"n": 1})), context)
    assert outputs(reply, 1) == [{"n": 1}]


def test_a_worker_takes_the_gpu_that_it_is_given():
    assert device_of(1, 2, on_gpu=True) == "cuda:1"
    assert device_of(None, 2, on_gpu=False) == device_of(-1, 2, on_gpu=False) == "cpu"


def test_a_gpu_that_torch_does_not_see_is_no_silent_cpu(tmp_path):
    with pytest.raises(RuntimeError, match="torch sees 0"):
        device_of(0, 0, on_gpu=True)
    with pytest.raises(RuntimeError, match="a GPU was promised"):
        device_of(None, 2, on_gpu=True)
    adaptor, context = EchoAdaptor(), FakeContext(tmp_path, gpu_id=99, on_gpu=True)
    adaptor.initialize(context)
    assert "GPU 99" in unpack(adaptor.handle(data(DESCRIBE), context)[0])["error"]["detail"]


def test_a_gpu_is_warmed_up_for_every_doubling_and_a_processor_for_the_ends():
    assert sizes_of(16, on_gpu=True) == [1, 2, 4, 8, 16, 32]
    assert sizes_of(8, on_gpu=True) == [1, 2, 4, 8, 16]
    assert sizes_of(1, on_gpu=False) == [1]
    assert sizes_of(16, on_gpu=False) == [1, 16]
