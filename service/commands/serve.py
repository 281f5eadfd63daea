"""`countenance serve`: the service in this process, as its settings say."""

from typing import Annotated, Literal

import typer
import uvicorn

from service.commands.console import err, mistakes_explained
from service.commands.options import Device, ModelStore, settings_with


def serve(
    host: Annotated[
        str | None,
        typer.Option(help="Address to listen on.", show_default="the setting's, 127.0.0.1"),
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="TCP port.", show_default="the setting's, 8000")
    ] = None,
    model_store: ModelStore = None,
    device: Device = None,
    log_format: Annotated[
        Literal["json", "text"] | None,
        typer.Option(help="One JSON object a line, or text.", show_default="the setting's, json"),
    ] = None,
) -> None:
    """Serve over HTTP until stopped. Everything is a setting too: COUNTENANCE_HOST and so on."""
    with mistakes_explained():
        from service.app import create_app
        from service.logs import configure_logging

        settings = settings_with(
            host=host, port=port, model_store=model_store, device=device, log_format=log_format
        )
        configure_logging(settings)
        app = create_app(settings)
        err.print(f"Loading the models; then http://{settings.host}:{settings.port} answers.")
        uvicorn.run(
            app,
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=settings.graceful_stop_s,
        )
