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
    table = Table()
    for heading in ("model", "version", "sha256", "MB"):
        table.add_column(heading, no_wrap=True)
    table.add_column("licence")
    table.add_column("figures")
    for model in found:
        table.add_row(
            model.name,
            model.version,
            model.sha256[:12],
            f"{model.size_bytes / 1e6:.1f}",
            model.licence or "",
            "\n".join(brief(name, value) for name, value in model.figures.items()),
        )
    return table


def brief(name: str, value: object) -> str:
    """One figure in a line; of a data set's alignment figures the AUC at ground-truth boxes."""
    if not isinstance(value, dict):
        return f"{name}: {value}"
    try:
        return f"{name}: AUC {value['auc']['truth']['clean']:.3f}"
    except (KeyError, TypeError, ValueError):
        return f"{name}: see --json"
