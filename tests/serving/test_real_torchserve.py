"""The client against a real TorchServe whose model does what it is asked, good or bad."""

import asyncio
import os
import re
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from handlers.torchserve.mute import grpc_queue
from service.errors import Problem, ServiceError
from service.inference import Question
from service.inference.remote.torchserve import TorchServeInference
from service.settings import Settings
from tests.serving.servers import ProbeServer, lingers
from tests.waiting import until_ready, until_said

LISTENING = "0A"
DASHBOARD = Path(__file__).parents[2] / "service" / "monitoring" / "dashboard.json"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ts") is None, reason="needs the extra torchserve"),
]


@pytest.fixture(scope="module")
def server() -> Iterator[ProbeServer]:
    """A server with two workers."""
    run = Path(tempfile.mkdtemp(prefix="cnt-"))
    server = ProbeServer.make(run, workers=2)
    try:
        server.start()
        server.wait_for_workers(2)
        yield server
    finally:
        server.stop()
        shutil.rmtree(run, ignore_errors=True)


@pytest.fixture
async def client(server) -> AsyncIterator[TorchServeInference]:
    """A patient client; both workers are there when a test begins."""
    await asyncio.to_thread(server.wait_for_workers, 2)
    client = TorchServeInference.from_settings(
        Settings(inference=server.address, step_timeout_s=120.0)
    )
    await client.open()
    yield client
    await client.close()


def question(state: bytes | None = None, **inputs: object) -> Question:
    return Question(inputs, {}, state)


async def test_bytes_and_state_come_back_as_they_went(client):
    state = bytes(range(256)) * 200
    answer = await client.ask("track", question(state, echo=b"\x00\xff" * 1000))
    assert (answer.outputs["echo"], answer.state) == (b"\x00\xff" * 1000, state)


async def test_the_dashboard_asks_for_metrics_that_torchserve_has(server, client):
    await client.ask("track", question(echo=1))
    page = await asyncio.to_thread(server.metrics)
    asked = set(re.findall(r"\bts_[a-z_]+", DASHBOARD.read_text()))
    assert len(asked) >= 3
    for name in asked:
        assert re.search(rf'^{name}{{model_name="track".*}} [1-9]', page, re.MULTILINE)


def ports_of(pid: int) -> list[str]:
    """The TCP ports at which a process listens, as the kernel writes them."""
    links = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()]
    sockets = {link[8:-1] for link in links if link.startswith("socket:[")}
    lines = [
        line.split()
        for name in ("tcp", "tcp6")
        for line in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]
    ]
    return [line[1] for line in lines if line[3] == LISTENING and line[9] in sockets]


@pytest.mark.skipif(grpc_queue() is None, reason="no filter is known for this machine")
async def test_nobody_on_the_machine_reaches_grpc(server, client):
    await client.ask("track", question(echo=1))
    assert server.process is not None
    assert ports_of(server.process.pid) == []


async def test_a_question_of_twelve_megabytes_goes_through(client):
    large = bytes(12 * 2**20)
    assert (await client.ask("track", question(echo=large))).outputs["echo"] == large


async def test_questions_at_once_share_batches_and_each_gets_its_own_answer(client):
    asked = (client.ask("track", question(echo=n, sleep_s=0.01)) for n in range(64))
    outputs = [answer.outputs for answer in await asyncio.gather(*asked)]
    assert [found["echo"] for found in outputs] == list(range(64))
    assert max(found["rows"] for found in outputs) > 1
    assert len({found["pid"] for found in outputs}) == 2


@pytest.mark.parametrize(
    ("do", "problem"), [("raise", Problem.UNAVAILABLE), ("refuse", Problem.TRUNCATED_IMAGE)]
)
async def test_a_row_that_is_refused_or_breaks_the_handler_spoils_only_itself(client, do, problem):
    def asked(n):
        return client.ask("track", question(echo=n, do=do if n == 3 else None))

    found = await asyncio.gather(*(asked(n) for n in range(8)), return_exceptions=True)
    refused = found.pop(3)
    assert isinstance(refused, ServiceError)
    assert refused.problem is problem
    assert [answer.outputs["echo"] for answer in found] == [0, 1, 2, 4, 5, 6, 7]


@pytest.mark.parametrize("do", ["raise", "lose"])
async def test_a_handler_that_breaks_is_unavailable_and_neighbours_are_answered(client, do):
    bad = asyncio.create_task(client.ask("track", question(do=do)))
    with pytest.raises(ServiceError) as caught:
        await bad
    assert caught.value.problem is Problem.UNAVAILABLE
    assert caught.value.headers == {"Retry-After": "1"}
    assert (await client.ask("track", question(echo=1))).outputs["echo"] == 1


async def test_a_worker_that_dies_of_a_question_costs_one_repeat_and_no_error(client, server):
    (server.store / "died").unlink(missing_ok=True)
    answer = await client.ask("track", question(do="die", echo="again"))
    assert answer.outputs["echo"] == "again"
    assert (server.store / "died").exists()


async def test_a_broken_device_ends_its_worker_and_the_next_one_answers(client, server):
    (server.store / "device-broke").unlink(missing_ok=True)
    before = set(server.worker_pids())
    (server.store / "device-fails-once").touch()
    asked = [
        client.ask("track", question(do="break-device" if n == 3 else None, echo=n))
        for n in range(8)
    ]
    assert [answer.outputs["echo"] for answer in await asyncio.gather(*asked)] == list(range(8))
    assert (server.store / "device-broke").exists()
    # The worker that comes after it fails once while it loads, and is followed by another.
    after = set(await asyncio.to_thread(server.wait_for_workers, 2))
    assert len(after - before) == 1
    assert not (server.store / "device-fails-once").exists()


async def test_a_worker_killed_at_work_costs_repeats_and_no_errors(client, server):
    asked = [client.ask("track", question(echo=n, sleep_s=0.05)) for n in range(40)]
    asking = [asyncio.create_task(one) for one in asked]
    await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
    os.kill(server.worker_pids()[0], signal.SIGKILL)
    answers = await asyncio.gather(*asking)
    assert [answer.outputs["echo"] for answer in answers] == list(range(40))


async def test_a_handler_that_hangs_is_repeated_and_the_other_worker_goes_on(client, server):
    impatient = TorchServeInference.from_settings(
        Settings(inference=server.address, step_timeout_s=6.0)
    )
    await impatient.open()
    with pytest.raises(ServiceError) as caught:
        await impatient.ask("track", question(do="hang", sleep_s=600.0))
    assert caught.value.problem in (Problem.TIMEOUT, Problem.UNAVAILABLE)
    await impatient.close()
    assert (await client.ask("track", question(echo=2))).outputs["echo"] == 2


async def test_who_leaves_while_the_model_works_harms_nobody(client):
    leaving = [asyncio.create_task(client.ask("track", question(sleep_s=0.2))) for _ in range(8)]
    await asyncio.sleep(0.3)
    for task in leaving:
        task.cancel()
    assert (await client.ask("track", question(echo=3))).outputs["echo"] == 3


async def test_ready_names_the_model_and_its_device(client):
    await until_ready(client)
    state = await client.readiness()
    assert (state.device, state.models) == ("cpu", ("track",))
    assert (await client.describe())[0]["version"] == "probe"


async def test_the_server_stopped_and_started_again_is_found_again(client, server):
    server.stop()
    with pytest.raises(ServiceError) as caught:
        await client.ask("track", question())
    assert caught.value.problem is Problem.UNAVAILABLE
    server.start()
    answer = await client.ask("track", question(echo="back"))
    assert answer.outputs["echo"] == "back"


async def test_weights_that_do_not_load_are_told_and_loaded_once_they_are_mended(client, server):
    (server.store / "broken").touch()
    for pid in server.worker_pids():
        os.kill(pid, signal.SIGKILL)
    await until_said(client, "the weights do not fit")
    assert not (await client.readiness()).ready
    (server.store / "broken").unlink()
    await until_ready(client)


def test_a_stop_signal_ends_the_server_with_all_its_workers(server):
    assert server.process is not None
    server.wait_for_workers(2)
    server.process.terminate()
    assert server.process.wait(60) == 143
    server.stop()
    assert not lingers(server.process.pid)
    assert list(server.server.run.rglob("*.sock*")) == []
