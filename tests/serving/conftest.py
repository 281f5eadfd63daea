"""Stand-ins for workers on sockets of short names, and the client to them."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from service.inference.remote.torchserve import TorchServeInference
from service.settings import Settings
from tests.service.redis_server import RedisServer
from tests.serving.deployment import Deployment
from tests.serving.workers import FakeWorker


@pytest.fixture
def short() -> Iterator[Path]:
    """A directory with a path short enough for sockets below it."""
    path = Path(tempfile.mkdtemp(prefix="cnt-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
async def workers(short: Path) -> AsyncIterator[list[FakeWorker]]:
    """Two stand-ins that listen."""
    both = [FakeWorker(short / name) for name in ("a", "b")]
    for worker in both:
        await worker.start()
    yield both
    for worker in both:
        await worker.stop()


@pytest.fixture
async def connect() -> AsyncIterator[Callable[..., object]]:
    """Return a function of addresses and settings that gives an open client."""
    clients: list[TorchServeInference] = []

    async def make(*addresses: str, **options: object) -> TorchServeInference:
        settings = Settings(inference=",".join(addresses), **options)
        client = TorchServeInference.from_settings(settings)
        clients.append(client)
        await client.open()
        return client

    yield make
    for client in clients:
        await client.close()


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A real Redis that a test may harm."""
    server = RedisServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def deployment() -> Iterator[Deployment]:
    """All that production runs; tests that kill a part bring it back by `mend`."""
    deployment = Deployment()
    yield deployment
    deployment.close()
