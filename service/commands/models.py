"""`countenance models`: what lies in the store, read from the files without loading a network."""

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from service.commands.console import CommandError, mistakes_explained, out
from service.commands.options import ModelStore, settings_with

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "weights.safetensors"

SERVED, ASKABLE, MEASURED = "served", "variant=", "evaluate"
# What the models that come along do, and who uses them; of others `about` tells what they do.
ROLES = {
    "dfa": (SERVED, "68 landmarks, facial actions; cleans blurred faces"),
    "dcrt": (SERVED, "follows faces through time"),
    "expressions": (SERVED, "emotion words, valence and arousal of a face"),
    "voice": (SERVED, "arousal of a voice"),
    "mtcnn": (SERVED, "finds faces"),
    "silero": (SERVED, "hears whether anybody speaks"),
    "face_shape": (SERVED, "the mean head, for head pose"),
    "avi-gas": (ASKABLE, "affect of face and voice, joined by a gate"),
    "avi-cas": (ASKABLE, "affect of face and voice, side by side"),
    "vi-des": (ASKABLE, "affect of a face over time"),
    "vi-de": (ASKABLE, "affect of a single face"),
    "vi": (ASKABLE, "affect of a single face, learned from clean ones"),
    "au-des": (ASKABLE, "affect of a voice over time"),
    "au-de": (ASKABLE, "affect of a voice"),
    "au": (ASKABLE, "affect of a voice, learned from clean sound"),
    "anclaf-sa": (ASKABLE, "affect of a face, with attention (chapter 6)"),
    "anclaf-s": (ASKABLE, "affect of a face over time (chapter 6)"),
    "anclaf": (ASKABLE, "affect of a single face (chapter 6)"),
    "aeg-cd-sz": (ASKABLE, "affect of a face with its sound (chapter 5)"),
    "aeg-cd": (ASKABLE, "affect of a cleaned face (chapter 5)"),
    "disc": (ASKABLE, "affect of a face by a plain network (chapter 5)"),
    "fle": (MEASURED, "68 landmarks, of clean faces"),
    "fle-augmented": (MEASURED, "68 landmarks, degraded faces learned, none cleaned"),
    "fadenn-m": (MEASURED, "68 landmarks, each kind of noise cleaned apart"),
    "fadenn-s": (MEASURED, "as fadenn-m, kinds of noise told by a smaller part"),
    "fadenn-d": (MEASURED, "68 landmarks, all noise cleaned by one network"),
    "fll": (MEASURED, "68 landmarks, of clean faces (chapters 2 and 3)"),
    "fll-augmented": (MEASURED, "as fll, degraded faces learned, none cleaned"),
}
LEGEND = f"""{SERVED}: by the service and the commands, without asking
{ASKABLE}: asked for by name, as variant=vi-de of /affect or --variant vi-de
{MEASURED}: only by `countenance evaluate align --model NAME`
`countenance models NAME` tells a model's terms in full, figures and card."""


@dataclass(frozen=True)
class StoredModel:
    """One model of the store: the part of its `config.json` for people, and its size in bytes."""

    name: str
    version: str
    sha256: str
    about: str | None
    licence: str | None
    figures: dict[str, Any]
    size_bytes: int
    folder: Path

    def is_intact(self) -> bool:
        """Tell whether the weights have the hash that the configuration names."""
        with (self.folder / WEIGHTS_FILE).open("rb") as weights:
            return hashlib.file_digest(weights, "sha256").hexdigest() == self.sha256


def read_store(folder: Path) -> list[StoredModel]:
    """Read every model under `folder`, by name; raises CommandError when one is unreadable."""
    if not folder.is_dir():
        raise CommandError(
            f"{folder.absolute()} is no folder: name the folder of the models by --model-store or "
            "COUNTENANCE_MODEL_STORE"
        )
    return [read_model(config.parent) for config in sorted(folder.glob(f"*/{CONFIG_FILE}"))]


def read_model(folder: Path) -> StoredModel:
    """Read one model; raises CommandError where configuration or weights are missing or odd."""
    try:
        config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        return StoredModel(
            name=config["name"],
            version=config["version"],
            sha256=config["sha256"],
            about=config.get("about"),
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
    name: Annotated[
        str | None, typer.Argument(help="One model, with terms, figures and card.", metavar="NAME")
    ] = None,
    model_store: ModelStore = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON list, no table.")] = False,
) -> None:
    """List the models: what each does, whether it is served, and its terms; or tell all of one."""
    with mistakes_explained():
        found = read_store(settings_with(model_store=model_store).model_store)
        if name is not None:
            found = [model_named(name, found)]
    if as_json:
        typer.echo(json.dumps([describe(model) for model in found], indent=2, ensure_ascii=False))
    elif name is not None:
        typer.echo(in_full(found[0]))
    else:
        out.print(as_table(found))
        out.print(LEGEND, markup=False, highlight=False)


def model_named(name: str, found: list[StoredModel]) -> StoredModel:
    """Return the model of this name; raises CommandError with the names that there are."""
    for model in found:
        if model.name == name:
            return model
    raise CommandError(f"no model is called {name}: {', '.join(model.name for model in found)}")


def describe(model: StoredModel) -> dict[str, object]:
    return asdict(model) | {"folder": str(model.folder)}


def as_table(found: list[StoredModel]) -> Table:
    """Return one row a model: those served first, then those to ask for, in the order of ROLES."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("model", no_wrap=True)
    table.add_column("what it does")
    table.add_column("used", no_wrap=True)
    table.add_column("terms", no_wrap=True)
    order = {name: place for place, name in enumerate(ROLES)}
    for model in sorted(found, key=lambda model: order.get(model.name, len(order))):
        used, does = ROLES.get(model.name, ("", first_words(model.about)))
        table.add_row(model.name, does, used, terms_in_a_word(model.licence))
    return table


def first_words(about: str | None) -> str:
    """Return the first sentence of what a configuration tells of its model."""
    return re.split(r"[;.](?:\s|$)", about or "")[0]


def terms_in_a_word(licence: str | None) -> str:
    """Return the strictest word of a licence, or its name where it forbids nothing."""
    told = licence or "not told"
    strict = next((word for word in ("research", "non-commercial") if word in told), None)
    return strict or told.partition(";")[0]


def in_full(model: StoredModel) -> str:
    """Return all that there is to tell of a model, a line each."""
    used, does = ROLES.get(model.name, ("", ""))
    facts = {
        "does": does,
        "about": model.about,
        "used": used,
        "terms": model.licence or "not told",
        "version": model.version,
        "sha256": model.sha256,
        "size": f"{model.size_bytes / 1e6:.1f} MB",
        "card": model.folder / "README.md",
    }
    lines = [f"{name:8}{fact}" for name, fact in facts.items() if fact]
    figures = [f"        {brief(name, value)}" for name, value in model.figures.items()]
    return "\n".join([model.name, *lines, *(["figures", *figures] if figures else [])])


def brief(name: str, value: object) -> str:
    """One figure in a line; of a data set's alignment figures the AUC at ground-truth boxes."""
    if not isinstance(value, dict):
        return f"{name}: {value}"
    try:
        return f"{name}: AUC {value['auc']['truth']['clean']:.3f}"
    except (KeyError, TypeError, ValueError):
        return f"{name}: see --json"
