"""The embedded models: one thread of their own, in order, and cancelled while they wait."""

import asyncio
import importlib
import os
import sys
import threading
from importlib.util import find_spec

import msgpack
import pytest

from service.errors import ConfigurationError, Problem, ServiceError
from service.inference import Question, pack_question, unpack_answer
from service.inference.loading import Loaded, resolve_device
from service.inference.local import LocalInference
from service.settings import Settings
from service.telemetry import REQUEST_ID
from tests.waiting import MOST_S, settle, until


class Echo:
    """Answers with what it was asked; waits at `gate` first, and notes what it saw."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.begun = threading.Event()
        self.seen: list[object] = []
        self.threads: set[str] = set()
        self.request_ids: list[str | None] = []

    def handle(self, rows):
        self.begun.set()
        self.gate.wait(MOST_S)
        self.threads.add(threading.current_thread().name)
        self.request_ids.append(REQUEST_ID.get())
        return [self._answer(row) for row in rows]

    def _answer(self, request):
        self.seen.append(request["inputs"]["image"])
        if request["inputs"]["image"] == b"bad":
            return msgpack.packb({"error": {"type": "truncated-image", "detail": "cut short"}})
        return msgpack.packb({"outputs": request["inputs"], "state": request.get("state")})

    def describe(self):
        return {"name": "align", "version": "1", "sha256": "0"}


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
async def local(echo):
    local = LocalInference(lambda: Loaded("cpu", {"align": echo}))
    await local.open()
    yield local
    echo.gate.set()
    await local.close()


def question(image: bytes = b"a", state: bytes | None = None) -> Question:
    return Question({"image": image}, {}, state)


async def test_a_question_comes_back_answered_with_its_state(local):
    answer = await local.ask("align", question(b"x", b"state"))
    assert (answer.outputs, answer.state) == ({"image": b"x"}, b"state")


async def test_what_a_handler_refuses_is_a_problem_and_spoils_nothing_else(local):
    with pytest.raises(ServiceError, match="truncated-image: cut short"):
        await local.ask("align", question(b"bad"))
    assert (await local.ask("align", question())).outputs == {"image": b"a"}


async def test_the_event_loop_stays_free_while_a_model_works(local, echo):
    echo.gate.clear()
    asked = asyncio.create_task(local.ask("align", question()))
    await until(echo.begun.is_set)
    assert not asked.done()
    echo.gate.set()
    await asked


async def test_questions_are_answered_one_at_a_time_in_order_on_one_thread(local, echo):
    images = [bytes([n]) for n in range(20)]
    await asyncio.gather(*(local.ask("align", question(image)) for image in images))
    assert echo.seen == images
    assert len(echo.threads) == 1


class Crowd(Echo):
    """Counts the calls that are at work at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.most = 0, 0
        self._counting = threading.Lock()

    def handle(self, rows):
        self._count(1)
        try:
            return super().handle(rows)
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        with self._counting:
            self.now += change
            self.most = max(self.most, self.now)


@pytest.mark.parametrize(("device", "at_once"), [("cpu", 2), ("cuda:0", 1)])
async def test_as_many_calls_are_at_work_as_there_are_lanes_but_one_on_a_gpu(device, at_once):
    crowd = Crowd()
    crowd.gate.clear()
    local = LocalInference(lambda: Loaded(device, {"align": crowd}), lanes=2)
    await local.open()
    asked = []
    for number in range(4):
        asked.append(asyncio.create_task(local.ask("align", question(bytes([number])))))
        await settle()
    await until(lambda: crowd.now == at_once)
    crowd.gate.set()
    await asyncio.gather(*asked)
    assert crowd.most == at_once
    await local.close()


async def test_questions_that_wait_are_answered_in_one_batch_and_told_of_it(local, echo):
    echo.gate.clear()
    first = asyncio.create_task(local.ask("align", question(bytes([0]))))
    await until(echo.begun.is_set)
    others = [asyncio.create_task(local.ask("align", question(bytes([n])))) for n in range(1, 6)]
    await settle()
    echo.gate.set()
    answers = await asyncio.gather(first, *others)
    assert [answer.outputs["image"] for answer in answers] == [bytes([n]) for n in range(6)]
    shared = [answer.batch.rows for answer in answers]
    assert shared == [1, *[3] * 3, *[2] * 2]
    assert all(answer.batch.seconds > 0 for answer in answers)


async def test_a_refused_question_spoils_no_other_one_of_its_batch(local):
    asked = (local.ask("align", question(image)) for image in (b"1", b"bad", b"2"))
    one, bad, two = await asyncio.gather(*asked, return_exceptions=True)
    assert (one.outputs, two.outputs) == ({"image": b"1"}, {"image": b"2"})
    assert (bad.problem, one.batch.rows) == (Problem.TRUNCATED_IMAGE, 3)


async def test_a_question_that_is_cancelled_while_it_waits_is_never_worked_on(local, echo):
    echo.gate.clear()
    first = asyncio.create_task(local.ask("align", question(b"1")))
    await until(echo.begun.is_set)
    second, third = (
        asyncio.create_task(local.ask("align", question(image))) for image in (b"2", b"3")
    )
    await settle()
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    echo.gate.set()
    await asyncio.gather(first, third)
    assert echo.seen == [b"1", b"3"]


async def test_a_question_that_is_cancelled_at_work_leaves_the_next_one_right(local, echo):
    echo.gate.clear()
    first = asyncio.create_task(local.ask("align", question(b"1")))
    await until(echo.begun.is_set)
    first.cancel()
    second = asyncio.create_task(local.ask("align", question(b"2")))
    echo.gate.set()
    assert (await second).outputs == {"image": b"2"}
    assert first.cancelled()


async def test_a_handler_s_logs_know_the_request(local, echo):
    REQUEST_ID.set("abc")
    await local.ask("align", question())
    assert echo.request_ids == ["abc"]


async def test_readiness_follows_opening_and_closing(echo):
    local = LocalInference(lambda: Loaded("cuda:0", {"align": echo}))
    assert not (await local.readiness()).ready
    await local.open()
    state = await local.readiness()
    assert (state.ready, state.device, state.models) == (True, "cuda:0", ("align",))
    assert (await local.describe())[0]["name"] == "align"
    await local.close()
    assert not (await local.readiness()).ready
    with pytest.raises(ServiceError) as caught:
        await local.ask("align", question())
    assert caught.value.problem is Problem.UNAVAILABLE


async def test_closing_waits_for_the_model_at_work(local, echo):
    echo.gate.clear()
    asked = asyncio.create_task(local.ask("align", question()))
    await until(echo.begun.is_set)
    closing = asyncio.create_task(local.close())
    await settle()
    assert not closing.done()
    echo.gate.set()
    await closing
    assert (await asked).outputs == {"image": b"a"}


async def test_what_loading_raises_reaches_whoever_opens():
    def load() -> Loaded:
        raise ConfigurationError("no weights")

    with pytest.raises(ConfigurationError, match="no weights"):
        await LocalInference(load).open()


@pytest.mark.skipif(find_spec("torch") is None, reason="needs torch")
def test_a_missing_model_store_stops_the_start(tmp_path):
    with pytest.raises(ConfigurationError, match="MODEL_STORE"):
        LocalInference.from_settings(Settings(model_store=tmp_path / "none"))


def test_models_compute_with_the_threads_and_the_engine_of_the_settings(tmp_path, monkeypatch):
    chosen = importlib.import_module("handlers.engines.choice").chosen
    monkeypatch.setattr(chosen, "threads", None)
    monkeypatch.setattr(chosen, "engine", "auto")
    settings = Settings(model_store=tmp_path, threads=3, engine="torch")
    with pytest.raises(ValueError, match="cannot read"):
        asyncio.run(LocalInference.from_settings(settings).open())  # the store is empty
    assert (chosen.threads, chosen.engine) == (3, "torch")


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_an_engine_of_processors_is_not_asked_for_on_a_gpu(tmp_path, device):
    settings = Settings(model_store=tmp_path, engine="onnxruntime", device=device)
    with pytest.raises(ConfigurationError, match="processors"):
        LocalInference.from_settings(settings)


def test_a_named_device_is_taken_at_its_word():
    assert resolve_device("cuda:3") == "cuda:3"


@pytest.mark.parametrize(
    "reply",
    [b"", b"\xc1", b"\x01", msgpack.packb({}), msgpack.packb({"outputs": 1}), b"\x92\x01"],
)
def test_a_reply_that_is_none_is_the_service_s_own_fault(reply):
    with pytest.raises(ServiceError) as caught:
        unpack_answer(reply)
    assert caught.value.problem is Problem.INTERNAL


def test_a_question_is_the_map_that_handlers_read():
    packed = pack_question(Question({"image": b"x"}, {"boxes": None}, b"s"))
    assert msgpack.unpackb(packed) == {
        "inputs": {"image": b"x"},
        "options": {"boxes": None},
        "state": b"s",
    }


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no priorities of their own here")
async def test_large_work_gets_what_processor_time_the_usual_work_leaves(local, echo):
    seen = {}

    def look():
        seen[threading.current_thread().name] = os.getpriority(
            os.PRIO_PROCESS, threading.get_native_id()
        )

    own = os.getpriority(os.PRIO_PROCESS, 0)
    for lane in range(3):
        await local._run(look, lane)
    steps = [seen[f"inference-{lane}_0"] for lane in range(3)]
    assert steps[0] == own
    assert own < steps[1] < steps[2]
