"""`countenance export`: the graphs that processors compute, beside the weights of a model."""

from pathlib import Path
from typing import Annotated

import typer

from service.commands.console import CommandError, as_mistakes, mistakes_explained, out
from service.commands.options import ModelStore, settings_with


def export(
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="[MODEL]...", help="Folders of the store; without one, all."),
    ] = None,
    model_store: ModelStore = None,
) -> None:
    """Write models as ONNX graphs beside their weights, as training does (seconds each)."""
    with mistakes_explained():
        store = settings_with(model_store=model_store).model_store

        from handlers.checkpoint import CheckpointError
        from handlers.engines.export import export_model

        for folder in folders(store, models or []):
            with as_mistakes(CheckpointError):
                parts = export_model(folder)
            out.print(f"{folder}: {', '.join(parts)}", highlight=False, soft_wrap=True)


def folders(store: Path, names: list[str]) -> list[Path]:
    """The named models of the store, or all that have networks; raises CommandError."""
    from handlers.checkpoint import read_checkpoint
    from handlers.engines.parts import kind_of

    if not names:
        every = sorted(path.parent for path in store.glob("*/config.json"))
        return [folder for folder in every if kind_of(read_checkpoint(folder).config) is not None]
    for name in names:
        if not (store / name).is_dir():
            raise CommandError(f"{store} has no model {name}")
    return [store / name for name in names]
