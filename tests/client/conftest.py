"""A real server around a model that counts, for the clients to talk to."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from service.server import Server, make_server
from service.settings import Settings
from tests.service.counting import CountingTracker
from tests.service.fake_inference import FakeInference
from tests.waiting import wait_until


class RunningService:
    """A service on a thread of its own, on a port that it keeps when it is started again."""

    def __init__(self, models: FakeInference | None = None, **options: object) -> None:
        self.models: Any = models or CountingTracker()
        self.options = options
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        settings = Settings(port=self.port, log_level="error", **self.options)
        self.server: Server = make_server(settings, self.models)
        self.thread = threading.Thread(target=lambda: asyncio.run(self.server.serve()))
        self.thread.start()
        wait_until(lambda: self.server.started or not self.thread.is_alive())
        self.port = self.server.servers[0].sockets[0].getsockname()[1]

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join()


@pytest.fixture
def service() -> Iterator[RunningService]:
    running = RunningService()
    yield running
    running.stop()
