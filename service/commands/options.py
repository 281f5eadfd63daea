"""Options that several commands share; what is not given comes from the settings."""

from pathlib import Path
from typing import Annotated, Any

import typer

from service.settings import Settings, load_settings

ModelStore = Annotated[
    Path | None,
    typer.Option(help="Folder of the models.", show_default="the setting's, model_store"),
]
Device = Annotated[
    str | None,
    typer.Option(help="auto, cpu, cuda, cuda:1...", show_default="the setting's, auto"),
]


def settings_with(**given: Any) -> Settings:
    """The settings of the environment, except what the command line gave."""
    return load_settings(**{name: value for name, value in given.items() if value is not None})
