"""`countenance models`: what lies in the store, read from the files without loading a network."""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from service.commands.console import mistakes_explained, out
from service.commands.options import ModelStore, settings_with
from service.commands.store import StoredModel, read_store


def models(
    model_store: ModelStore = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON list, no table.")] = False,
) -> None:
    """List the models: name, version, hash of the weights, size, terms and measured figures."""
    with mistakes_explained():
        found = read_store(settings_with(model_store=model_store).model_store)
    if as_json:
        typer.echo(json.dumps([describe(model) for model in found], indent=2, ensure_ascii=False))
    else:
        out.print(as_table(found))


def describe(model: StoredModel) -> dict[str, object]:
    return asdict(model) | {"folder": str(model.folder)}


def as_table(found: list[StoredModel]) -> Table:
    table = Table("model", "version", "sha256", "MB", "licence", "figures")
    for model in found:
        figures = ", ".join(f"{name} {value}" for name, value in model.figures.items())
        megabytes = f"{model.size_bytes / 1e6:.1f}"
        row = (
            model.name,
            model.version,
            model.sha256[:12],
            megabytes,
            model.licence or "",
            figures,
        )
        table.add_row(*row)
    return table
