"""`countenance train` and `export`: recipes carried out, graphs written beside weights."""

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from service.commands.console import CommandError, as_mistakes, err, out
from service.commands.options import LabelledFaces, ModelStore, command, settings_with


@command
@as_mistakes(ValueError)
def train(
    recipes: Annotated[
        list[str],
        typer.Argument(help="Recipes' files or the names of some that come along, in order."),
    ],
    data: LabelledFaces,
    runs: Annotated[
        Path, typer.Option(help="Folder for checkpoints, the log of losses and its plot.")
    ] = Path("runs"),
    model_store: ModelStore = None,
    resume: Annotated[bool, typer.Option(help="Go on from the last checkpoint, if any.")] = True,
    without: Annotated[
        list[str] | None,
        typer.Option(
            help="A set not to learn from, to be measured on it: ferplus, citizen, ravdess or "
            "emodb. Learning then starts from no other model. May be given often."
        ),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A value of the recipes: schedule.steps=500, say; recipes "
            "without a schedule pass over that.",
        ),
    ] = None,
) -> None:
    """Train the models of recipes and put their weights into the store (hours).

    First the faces and labels that the recipes name are looked for, and each recipe makes a few
    steps on drawn faces: that tells what cannot work, and how long it will all take here.
    """
    paths = [find_recipe(recipe) for recipe in recipes]
    store = settings_with(model_store=model_store).model_store

    # A wrong name of a recipe is told before seconds of loading torch.
    from handlers.training.train import train as carry_out

    announce(paths, data, store, changes or [])
    for path in paths:
        folder = carry_out(
            path, data, runs, store, resume, without=without or (), changes=changes or ()
        )
        err.print(f"The weights are in {folder}.", markup=False)


def announce(paths: list[Path], data: Path, store: Path, changes: list[str]) -> None:
    """Look for the recipes' faces, rehearse the recipes and say how long each will take."""
    from handlers.training.rehearsal import check_data, in_words, rehearse

    check_data(paths, data, changes)
    total = 0.0
    for one in rehearse(paths, store, changes=changes):
        took = "not rehearsed" if one.seconds is None else f"about {in_words(one.seconds)}"
        err.print(f"{one.name}: {one.steps or 'no'} steps, {took}", markup=False)
        total += one.seconds or 0.0
    err.print(f"In all about {in_words(total)} on this machine, begun now.", markup=False)


def find_recipe(name: str) -> Path:
    """Return the recipe's file; raises CommandError naming those that come along."""
    if Path(name).is_file():
        return Path(name)
    shipped = Path(str(files("handlers.training"))) / "recipes"
    if (named := shipped / f"{name}.toml").is_file():
        return named
    known = ", ".join(sorted(path.stem for path in shipped.glob("*.toml")))
    raise CommandError(f"{name} is neither a file nor a recipe that comes along ({known})")


@command
@as_mistakes(ValueError)
def export(
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="[MODEL]...", help="Folders of the store; without one, all."),
    ] = None,
    model_store: ModelStore = None,
) -> None:
    """Write models as ONNX graphs beside their weights, as training does (seconds each)."""
    store = settings_with(model_store=model_store).model_store

    from handlers.engines.export import export_model

    for folder in folders(store, models or []):
        parts = export_model(folder)
        out.print(f"{folder}: {', '.join(parts)}", highlight=False, soft_wrap=True)


def folders(store: Path, names: list[str]) -> list[Path]:
    """Return the folders of the named models, or of all that have networks; raises CommandError."""
    from handlers.checkpoint import read_checkpoint
    from handlers.engines.parts import kind_of

    if not names:
        every = sorted(path.parent for path in store.glob("*/config.json"))
        return [folder for folder in every if kind_of(read_checkpoint(folder).config) is not None]
    for name in names:
        if not (store / name).is_dir():
            raise CommandError(f"{store} has no model {name}")
    return [store / name for name in names]
