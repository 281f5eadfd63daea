"""`countenance models`: what lies in the store, read from the files without loading a network."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from service.commands.console import CommandError, mistakes_explained, out
from service.commands.options import ModelStore, settings_with

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "weights.safetensors"


@dataclass(frozen=True)
class StoredModel:
    """One model of the store: the part of its `config.json` for people, and its size in bytes."""

    name: str
    version: str
    sha256: str
    licence: str | None
    figures: dict[str, Any]
    size_bytes: int
    folder: Path

    def is_intact(self) -> bool:
        """Whether the weights have the hash that the configuration names."""
        with (self.folder / WEIGHTS_FILE).open("rb") as weights:
            return hashlib.file_digest(weights, "sha256").hexdigest() == self.sha256


def read_store(folder: Path) -> list[StoredModel]:
    """Every model under `folder`, by name; raises CommandError when one cannot be read."""
    if not folder.is_dir():
        raise CommandError(
            f"{folder.absolute()} is no folder: name the folder of the models by --model-store or "
            "COUNTENANCE_MODEL_STORE"
        )
    return [read_model(config.parent) for config in sorted(folder.glob(f"*/{CONFIG_FILE}"))]


def read_model(folder: Path) -> StoredModel:
    """One model; raises CommandError when its configuration or its weights are missing or odd."""
    try:
        config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        return StoredModel(
            name=config["name"],
            version=config["version"],
            sha256=config["sha256"],
            licence=config.get("licence"),
            figures=config.get("figures", {}),
            size_bytes=(folder / WEIGHTS_FILE).stat().st_size,
            folder=folder,
        )
    except FileNotFoundError as error:
        raise CommandError(f"{error.filename} is missing") from error
    except (ValueError, KeyError, TypeError) as error:
        raise CommandError(f"{folder / CONFIG_FILE} describes no model: {error!r}") from error


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
