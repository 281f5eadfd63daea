"""`countenance serve`: the service in this process, as its settings say."""

from typing import Annotated, Literal

import typer

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
    from service.server import serve as run_server  # half a second that other commands can save

    with mistakes_explained():
        settings = settings_with(
            host=host, port=port, model_store=model_store, device=device, log_format=log_format
        )
        err.print(f"Loading the models; then http://{settings.host}:{settings.port} answers.")
        status = run_server(settings)
    raise typer.Exit(status)
