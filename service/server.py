"""The process: settings in, a listening server until it is told to stop."""

import asyncio
import math
import resource
import socket
from collections.abc import Generator
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from typing import cast

import uvicorn

from service.app import create_app
from service.http.connections import Connections, HttpProtocol, SocketProtocol
from service.inference import Inference
from service.services import Services
from service.settings import Settings
from service.telemetry import configure_logging

STARTUP_FAILED = 3  # uvicorn's exit status where the start failed
SPARE_FILES = 512  # beside connections: models, libraries, clips, Redis
# Of the time to stop: for what runs, then for refusing it; uvicorn has the rest.
RUNNING_SHARE, REFUSING_SHARE = 0.7, 0.2
LOOK_S = 0.05  # between two looks whether requests have ended


class Server(uvicorn.Server):
    """Lets live sessions answer what they have read before the sockets close."""

    def __init__(self, config: uvicorn.Config, services: Services) -> None:
        super().__init__(config)
        self._services = services
        self.ready = asyncio.Event()
        self.keeps_signals = True

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Stop at SIGINT and SIGTERM, unless the process belongs to somebody else."""
        with super().capture_signals() if self.keeps_signals else nullcontext():
            yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen, and say so."""
        await super().startup(sockets)
        self.ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen no more, stop the live sessions, let requests end; then do as uvicorn does.

        Requests that take most of the time for it are refused: their models are closed.
        """
        for server in self.servers:
            server.close()
        whole_s = self._services.settings.graceful_stop_s
        with suppress(TimeoutError):
            async with asyncio.timeout(whole_s * RUNNING_SHARE):
                await self._services.sockets.stop()
                await self._requests_end()
        with suppress(TimeoutError):
            async with asyncio.timeout(whole_s * REFUSING_SHARE):
                await self._services.inference.close()
                await self._requests_end()
        self.config.timeout_graceful_shutdown = math.ceil(
            whole_s * (1 - RUNNING_SHARE - REFUSING_SHARE)
        )
        await super().shutdown(sockets)

    async def _requests_end(self) -> None:
        for connection in list(self.server_state.connections):
            connection.shutdown()
        while self.server_state.tasks:
            await asyncio.sleep(LOOK_S)


def serve(settings: Settings) -> int:
    """Serve until SIGINT or SIGTERM, then finish running requests; return the exit status.

    Raises ConfigurationError before anything listens when the settings cannot be served.
    """
    configure_logging(settings)
    allow_files(settings.max_connections + SPARE_FILES)
    server = make_server(settings)
    with suppress(KeyboardInterrupt):
        server.run()
    return 0 if server.started else STARTUP_FAILED


def allow_files(count: int) -> None:
    """Let this process open so many files, as far as it may; a connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def make_server(settings: Settings, inference: Inference | None = None) -> Server:
    """Return the server, not yet listening; `inference` replaces what `settings` name.

    Forwarding headers are never believed. h11 reads the requests because it bounds their heads.
    Frames of live sessions are compressed pictures: sockets do not compress them again. Live
    sessions notice silent clients themselves; pings would be answered behind waiting frames.
    """
    app, connections = create_app(settings, inference), Connections(settings)
    config = uvicorn.Config(
        app,
        # An IPv6 address has brackets in URLs alone.
        host=settings.host.strip("[]"),
        port=settings.port,
        http=cast(type[asyncio.Protocol], partial(HttpProtocol, connections=connections)),
        ws=cast(type[asyncio.Protocol], partial(SocketProtocol, connections=connections)),
        ws_max_size=settings.max_upload_bytes,
        ws_per_message_deflate=False,
        ws_ping_interval=None,
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        lifespan="on",
        timeout_graceful_shutdown=settings.graceful_stop_s,
    )
    return Server(config, app.state.services)
