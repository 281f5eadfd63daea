"""Pictures made on the spot, models that only count, and the application around them."""

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from PIL import Image

from service.app import create_app
from service.keys import new_key
from service.server import make_server
from service.settings import Settings
from tests.service.counting import CountingTracker
from tests.service.fake_inference import FakeInference
from tests.service.feeling import CountingAffect
from tests.service.redis_server import RedisServer
from tests.waiting import MOST_S, until

ClientMaker = Callable[..., httpx.AsyncClient]
ServerMaker = Callable[..., Any]


@pytest.fixture(autouse=True)
def _unhurried(_no_settings_from_outside: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let clips and models take their time on a busy machine, where a test says nothing else."""
    for name in ("CLIP_STALL_S", "INFERENCE_TIMEOUT_S", "READ_IDLE_TIMEOUT_S"):
        monkeypatch.setenv(f"COUNTENANCE_{name}", str(MOST_S))


@pytest.fixture
def inference() -> FakeInference:
    return FakeInference()


@pytest.fixture
def tracker() -> CountingTracker:
    return CountingTracker()


@pytest.fixture
def model() -> CountingAffect:
    """Return a model of affect."""
    return CountingAffect()


@pytest.fixture
async def make_client(inference: FakeInference) -> AsyncIterator[ClientMaker]:
    """Return a function of settings that gives a client of an application with these."""
    clients: list[httpx.AsyncClient] = []

    def make(headers: Mapping[str, str] | None = None, **options: Any) -> httpx.AsyncClient:
        app = create_app(Settings(**options), inference)
        transport = httpx.ASGITransport(app)
        client = httpx.AsyncClient(
            transport=transport, base_url="http://localhost:8000", headers=headers
        )
        clients.append(client)
        return client

    yield make
    for client in clients:
        await client.aclose()


@pytest.fixture
def client(make_client: ClientMaker) -> httpx.AsyncClient:
    return make_client()


@pytest.fixture
def run_server(inference: FakeInference) -> ServerMaker:
    """Return a context manager of settings: a real server on a free port, which it yields."""

    @asynccontextmanager
    async def run(**options: Any) -> AsyncIterator[tuple[uvicorn.Server, int]]:
        server = make_server(Settings(port=0, **options), inference)
        serving = asyncio.create_task(server.serve())
        await until(lambda: server.started or serving.done())
        try:
            yield server, server.servers[0].sockets[0].getsockname()[1]
        finally:
            server.should_exit = True
            await serving

    return run


@pytest.fixture(scope="session")
def picture() -> Callable[..., bytes]:
    """Return a function of format, size and Pillow options that gives an encoded picture."""

    def encode(
        name: str = "JPEG", size: tuple[int, int] = (64, 48), mode: str = "RGB", **options: Any
    ) -> bytes:
        data = io.BytesIO()
        Image.new(mode, size).save(data, name, **options)
        return data.getvalue()

    return encode


@pytest.fixture
def post(client: httpx.AsyncClient) -> Callable[..., Awaitable[httpx.Response]]:
    """Return a function that sends bytes to /align."""

    async def send(
        content: bytes, content_type: str | None = "image/jpeg", **params: Any
    ) -> httpx.Response:
        headers = {} if content_type is None else {"Content-Type": content_type}
        return await client.post("/align", content=content, headers=headers, params=params)

    return send


@pytest.fixture
def keys(tmp_path):
    """Return a keys file of two keys of one principal, and the two keys."""
    (first, one), (second, two) = new_key("alice"), new_key("alice")
    path = tmp_path / "keys.toml"
    path.write_text(one + two + "requests_per_minute = 12\n")
    return path, first, second


@pytest.fixture(scope="session")
def shared_redis() -> Iterator[RedisServer]:
    """Return a real Redis for all tests that do it no harm."""
    server = RedisServer()
    yield server
    server.close()


@pytest.fixture
def redis_server(shared_redis: RedisServer) -> RedisServer:
    """Return a real Redis, empty; tests that stop or fill one start their own."""
    shared_redis.ask("FLUSHALL")
    return shared_redis
