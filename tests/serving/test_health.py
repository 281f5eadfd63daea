"""What a server's watch makes of models that stop working: a new start, but not for everything."""

import asyncio
from pathlib import Path

import pytest

from handlers.torchserve.watching import Health
from tests.serving.workers import FakeWorker, refused, status


class Clock:
    """A time that the test holds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("handlers.torchserve.watching.time", clock)
    return clock


async def well_after(health: Health, clock: Clock, seconds: float) -> bool:
    clock.now += seconds
    return await asyncio.to_thread(health)


@pytest.fixture
async def worker(short: Path):
    worker = FakeWorker(short / "a")
    await worker.start()
    yield worker
    await worker.stop()


@pytest.mark.parametrize("broken", [refused("unavailable", "no device"), status(503)])
async def test_a_model_that_stops_working_makes_the_server_ill_after_a_while(worker, clock, broken):
    async def behave(request):
        return broken if isinstance(broken, bytes) else await broken(request)

    health = Health(worker.address, ("track",))
    assert await well_after(health, clock, 0)
    worker.describes = behave
    assert await well_after(health, clock, health.look_s)
    assert await well_after(health, clock, health.ill_s - 1)
    assert not await well_after(health, clock, 2)
    worker.describes = None
    assert await well_after(health, clock, 1)


async def test_a_model_that_never_worked_is_not_helped_by_a_new_start(worker, clock):
    async def behave(_):
        return refused("unavailable", "the weights do not fit")

    worker.describes = behave
    health = Health(worker.address, ("track",))
    for _ in range(5):
        assert await well_after(health, clock, health.ill_s)


async def test_a_model_that_takes_long_is_not_ill(worker, clock):
    health = Health(worker.address, ("track",), timeout_s=0.2)
    assert await well_after(health, clock, 0)
    worker.describes = worker.hang
    for _ in range(3):
        assert await well_after(health, clock, health.ill_s)


async def test_a_server_that_answers_no_ping_is_ill_at_once(short, clock):
    assert not await well_after(Health(f"unix:{short}/none", ("track",)), clock, 0)
