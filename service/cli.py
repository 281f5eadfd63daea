"""The command `countenance`."""

from importlib.metadata import version
from typing import Annotated

import typer

from service.commands.affect import affect
from service.commands.align import align
from service.commands.annotate import annotate
from service.commands.doctor import doctor
from service.commands.evaluate import evaluate_align
from service.commands.evaluate_affect import evaluate_affect
from service.commands.evaluate_track import evaluate_track
from service.commands.models import models
from service.commands.serve import serve
from service.commands.track import track
from service.commands.train import train

app = typer.Typer(no_args_is_help=True, pretty_exceptions_show_locals=False)
evaluate = typer.Typer(no_args_is_help=True, help="Measure what is served on labelled data.")

app.command()(serve)
app.command()(align)
app.command()(track)
app.command()(affect)
app.command()(annotate)
app.command()(models)
app.command()(doctor)
app.command()(train)
evaluate.command("align")(evaluate_align)
evaluate.command("track")(evaluate_track)
evaluate.command("affect")(evaluate_affect)
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
    """Face alignment: serve it, use it on photographs, measure it, train it."""
