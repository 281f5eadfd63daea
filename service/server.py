"""The process: settings in, a listening server until it is told to stop."""

from contextlib import suppress

import uvicorn

from service.app import create_app
from service.inference import Inference
from service.logs import configure_logging
from service.settings import Settings

STARTUP_FAILED = 3


def serve(settings: Settings) -> int:
    """Serve until SIGINT or SIGTERM, then finish running requests; return the exit status.

    Raises ConfigurationError before anything listens when the settings cannot be served.
    """
    configure_logging(settings)
    server = make_server(settings)
    with suppress(KeyboardInterrupt):
        server.run()
    return 0 if server.started else STARTUP_FAILED


def make_server(settings: Settings, inference: Inference | None = None) -> uvicorn.Server:
    """Return the server, not yet listening; `inference` replaces what `settings` name.

    Forwarding headers are never believed. h11 reads the requests because it bounds their heads.
    """
    config = uvicorn.Config(
        create_app(settings, inference),
        host=settings.host.strip("[]"),
        port=settings.port,
        http="h11",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        lifespan="on",
        timeout_graceful_shutdown=settings.graceful_stop_s,
    )
    return uvicorn.Server(config)
