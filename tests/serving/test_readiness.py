"""What the client knows of its workers unasked: who is up, and with which models."""

import asyncio

import pytest

from service.errors import Problem, ServiceError
from service.inference.remote.pool import HostPool
from service.inference.remote.torchserve import Probes
from tests.serving.workers import DESCRIPTION, answered, refused, status
from tests.waiting import until, until_ready


@pytest.fixture
async def probes(workers):
    pool = HostPool([worker.address for worker in workers])
    await pool.open()
    yield Probes(pool)
    await pool.close()


async def test_ready_once_every_model_there_has_told_what_it_is(probes):
    assert not probes.readiness().ready
    await probes.round()
    state = probes.readiness()
    assert (state.ready, state.device, state.models) == (True, "cpu", ("track",))
    assert probes.descriptions() == [DESCRIPTION]


async def test_one_host_away_is_no_reason_but_all_away_are(probes, workers):
    await probes.round()
    await workers[0].stop()
    for _ in range(2):
        await probes.round()
    assert probes.readiness().ready
    await workers[1].stop()
    for _ in range(2):
        await probes.round()
    state = probes.readiness()
    assert not state.ready
    assert state.reason == "track: the worker cannot be reached"
    assert probes.descriptions() == []


async def test_one_missed_question_is_no_reason_yet(probes, workers):
    await probes.round()
    for worker in workers:
        worker.describes = status(503)
    await probes.round()
    assert probes.readiness().ready
    await probes.round()
    assert not probes.readiness().ready
    for worker in workers:
        worker.describes = None
    await probes.round()
    assert probes.readiness().ready


async def test_a_model_that_cannot_load_is_named_with_its_reason(probes, workers):
    async def broken(request):
        if request.match_info["model"] == "align":
            return refused("unavailable", "the weights do not fit")
        return answered({"description": DESCRIPTION, "device": "cuda:0"})

    for worker in workers:
        worker.models = {"align", "track"}
        worker.describes = broken
    await probes.round()
    state = probes.readiness()
    assert (state.ready, state.models, state.device) == (False, ("track",), "cuda:0")
    assert "align" in (state.reason or "")
    assert "the weights do not fit" in (state.reason or "")


async def test_a_model_that_still_loads_is_waited_for(probes, workers):
    async def loading(request):
        if request.match_info["model"] == "align":
            return await workers[0].hang(request)
        return answered({"description": DESCRIPTION, "device": "cpu"})

    for worker in workers:
        worker.models = {"align", "track"}
        worker.describes = loading
    asking = asyncio.create_task(probes.round())
    await until(lambda: probes.descriptions())
    state = probes.readiness()
    assert (state.ready, state.reason) == (False, "align: no worker has answered yet")
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


async def test_two_versions_at_two_hosts_are_both_told(probes, workers):
    async def newer(_):
        return answered({"description": {**DESCRIPTION, "version": "2"}, "device": "cpu"})

    workers[1].describes = newer
    await probes.round()
    assert [found["version"] for found in probes.descriptions()] == ["1", "2"]


async def test_the_client_is_ready_soon_after_its_workers_are(workers, connect):
    await workers[0].stop()
    client = await connect(workers[0].address)
    assert not (await client.readiness()).ready
    with pytest.raises(ServiceError) as caught:
        await client.describe()
    assert caught.value.problem is Problem.UNAVAILABLE
    workers[0].path.unlink(missing_ok=True)
    await workers[0].start()
    await until_ready(client)
    assert await client.describe() == [DESCRIPTION]


async def test_every_address_behind_a_name_is_a_host_and_names_are_looked_up_anew():
    behind = ["10.0.0.1", "10.0.0.2"]

    async def resolve(name, port):
        if not behind:
            raise OSError("unknown")
        return list(behind)

    pool = HostPool(["http://models"], resolve)
    await pool.open()
    first = {host.base: host for host in pool.hosts}
    assert sorted(first) == ["http://10.0.0.1:8080", "http://10.0.0.2:8080"]
    behind[:] = ["10.0.0.2", "fd00::3"]
    await pool.refresh()
    second = {host.base: host for host in pool.hosts}
    assert sorted(second) == ["http://10.0.0.2:8080", "http://[fd00::3]:8080"]
    assert second["http://10.0.0.2:8080"] is first["http://10.0.0.2:8080"]
    behind.clear()
    await pool.refresh()
    assert len(pool.hosts) == 2
    await pool.close()


async def test_without_any_worker_the_reason_says_so():
    async def resolve(name, port):
        raise OSError("unknown")

    pool = HostPool(["http://models"], resolve)
    await pool.open()
    probes = Probes(pool)
    await probes.round()
    assert probes.readiness().reason == "no worker is known"
    await pool.close()
