"""The command `countenance`."""

from importlib.metadata import version
from typing import Annotated, Literal

import typer

from service.commands.affect import affect
from service.commands.align import align
from service.commands.annotate import annotate
from service.commands.console import err
from service.commands.doctor import doctor
from service.commands.evaluate import (
    evaluate_actions,
    evaluate_affect,
    evaluate_align,
    evaluate_cuts,
    evaluate_pose,
    evaluate_rolls,
    evaluate_track,
)
from service.commands.models import models
from service.commands.options import Device, ModelStore, command, settings_with
from service.commands.track import track
from service.commands.train import export, train

EPILOG = (
    "Results go to stdout, all else to stderr. Exit codes: 0 everything was done; 1 something "
    "failed, as stderr tells; 2 wrong usage; 3 the service could not start; 130 stopped by Ctrl-C."
)
# Local variables in tracebacks could show keys and pictures.
app = typer.Typer(no_args_is_help=True, pretty_exceptions_show_locals=False, epilog=EPILOG)
evaluate = typer.Typer(no_args_is_help=True, help="Measure what is served on labelled data.")


@command
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

    settings = settings_with(
        host=host, port=port, model_store=model_store, device=device, log_format=log_format
    )
    err.print(f"Loading the models; then http://{settings.host}:{settings.port} answers.")
    status = run_server(settings)
    raise typer.Exit(status)


def example(line: str) -> str:
    """Return the line under a command's options."""
    return f"For example: countenance {line}"


app.command()(serve)
app.command(epilog=example("align photos/ --csv --out landmarks/ --jobs 4"))(align)
app.command(epilog=example("track talk.mp4 --csv --overlay drawn.mp4"))(track)
app.command(epilog=example("affect talk.mp4 --csv --plot talk.svg"))(affect)
app.command(epilog=example("annotate s3://lab/videos --out s3://lab/tables --jobs 8"))(annotate)
app.command()(models)
app.command()(doctor)
app.command()(train)
app.command(epilog=example("export dfa"))(export)
evaluate.command("align")(evaluate_align)
evaluate.command("track")(evaluate_track)
evaluate.command("affect")(evaluate_affect)
evaluate.command("actions")(evaluate_actions)
evaluate.command("pose")(evaluate_pose)
evaluate.command("rolls")(evaluate_rolls)
evaluate.command("cuts")(evaluate_cuts)
app.add_typer(evaluate, name="evaluate")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("countenance"))
        raise typer.Exit


@app.callback()
def main(
    show_version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Say which this is."),
    ] = False,
) -> None:
    """Read faces: landmarks of photographs, faces followed through clips, valence and arousal."""
