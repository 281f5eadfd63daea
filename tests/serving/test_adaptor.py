"""The adaptor as TorchServe's worker calls it: rows in, rows out, and models that do not load."""

import pytest

from handlers.torchserve.adaptor import Adaptor, device_of
from handlers.torchserve.asking import DESCRIBE
from handlers.wire import pack, unpack
from service.inference.wire import DESCRIBE as ASKED_BY_THE_SERVICE


class FakeContext:
    """What a worker's context holds."""

    model_name = "track"

    def __init__(self, store, gpu_id=None) -> None:
        self.model_yaml_config = {"countenance": {"model_store": str(store), "threads": 1}}
        self.system_properties = {"gpu_id": gpu_id, "batch_size": 4}
        self.headers: dict[tuple[int, str], str] = {}

    def get_request_header(self, idx, key):
        return f"{key}-{idx}"

    def set_response_header(self, idx, key, value):
        self.headers[idx, key] = value


class Echo:
    """Answers each row with itself."""

    def handle(self, rows):
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


def rows(*bodies: bytes) -> list[dict[str, bytes]]:
    return [{"body": body} for body in bodies]


@pytest.fixture
def adaptor(tmp_path):
    adaptor = EchoAdaptor()
    adaptor.initialize(FakeContext(tmp_path))
    return adaptor


def test_each_row_is_told_of_the_batch_that_it_shared(adaptor, tmp_path):
    context = FakeContext(tmp_path)
    adaptor.handle(rows(pack({"a": 1}), DESCRIBE, pack({"b": 2})), context)
    assert {key: value for key, value in context.headers.items() if key[1] == "X-Batch-Rows"} == {
        (0, "X-Batch-Rows"): "2",
        (2, "X-Batch-Rows"): "2",
    }
    assert float(context.headers[0, "X-Batch-Milliseconds"]) >= 0.0


def test_questions_about_the_model_mix_with_rows_in_order(adaptor, tmp_path):
    one, two = pack({"n": 1}), pack({"n": 2})
    found = adaptor.handle(rows(one, DESCRIBE, two), FakeContext(tmp_path))
    about = {"description": {"name": "track"}, "device": "cpu"}
    assert [unpack(reply)["outputs"] for reply in found] == [{"n": 1}, about, {"n": 2}]


def test_service_and_workers_ask_about_a_model_in_the_same_bytes():
    assert DESCRIBE == ASKED_BY_THE_SERVICE


def test_a_row_without_a_body_is_a_row_all_the_same(adaptor, tmp_path):
    with pytest.raises(ValueError, match="no msgpack"):
        adaptor.handle([{}], FakeContext(tmp_path))


def test_a_refused_row_is_logged_with_its_request(adaptor, tmp_path, caplog):
    caplog.set_level("INFO")
    adaptor.handle(rows(pack({"n": 1}), pack({"n": "bad"})), FakeContext(tmp_path))
    assert "request_id=X-Request-ID-1" in caplog.text
    assert "X-Request-ID-0" not in caplog.text


def test_a_model_that_does_not_load_says_why_and_is_tried_again(tmp_path):
    (tmp_path / "broken").touch()
    adaptor, context = EchoAdaptor(), FakeContext(tmp_path)
    adaptor.initialize(context)
    for reply in adaptor.handle(rows(pack({"n": 1}), DESCRIBE), context):
        error = unpack(reply)["error"]
        assert error["type"] == "unavailable"
        assert "the weights do not fit" in error["detail"]
    (tmp_path / "broken").unlink()
    (reply,) = adaptor.handle(rows(pack({"n": 1})), context)
    assert unpack(reply)["outputs"] == {"n": 1}


def test_a_worker_takes_the_gpu_that_it_is_given():
    assert device_of(1, 2) == "cuda:1"
    assert device_of(None, 2) == device_of(-1, 2) == "cpu"


def test_a_gpu_that_torch_does_not_see_is_no_silent_cpu(tmp_path):
    with pytest.raises(RuntimeError, match="torch sees 0"):
        device_of(0, 0)
    adaptor, context = EchoAdaptor(), FakeContext(tmp_path, gpu_id=99)
    adaptor.initialize(context)
    assert "GPU 99" in unpack(adaptor.handle(rows(DESCRIBE), context)[0])["error"]["detail"]
