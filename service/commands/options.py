"""Options that several commands share; what is not given comes from the settings."""

from pathlib import Path
from typing import Annotated, Any

import typer

from service.settings import Settings, load_settings

HERE = "Models of this machine"
THERE = "A service elsewhere"
RESULTS = "Results"

ModelStore = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the models.",
        show_default="the setting's, model_store",
        rich_help_panel=HERE,
    ),
]
Device = Annotated[
    str | None,
    typer.Option(
        help="auto, cpu, cuda, cuda:1...",
        show_default="the setting's, auto",
        rich_help_panel=HERE,
    ),
]
Url = Annotated[
    str | None,
    typer.Option(
        help="Ask the service at this address, not the models here.", rich_help_panel=THERE
    ),
]
Key = Annotated[
    str | None,
    typer.Option(help="API key of that service.", envvar="COUNTENANCE_KEY", rich_help_panel=THERE),
]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        exists=True, dir_okay=False, help="File with that API key.", rich_help_panel=THERE
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        file_okay=False,
        help="Folder for one file of results each, instead of stdout; what is there already is "
        "skipped, so that a second run goes on where the first one was stopped.",
        rich_help_panel=RESULTS,
    ),
]
Again = Annotated[
    bool,
    typer.Option("--again", help="Do anew what is done already.", rich_help_panel=RESULTS),
]
Jobs = Annotated[
    int,
    typer.Option(
        min=1, max=256, help="Processes that share the work, each with one thread and the models."
    ),
]


def settings_with(**given: Any) -> Settings:
    """The settings of the environment, except what the command line gave."""
    return load_settings(**{name: value for name, value in given.items() if value is not None})
