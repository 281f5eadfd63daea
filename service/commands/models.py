"""`countenance models`: what lies in the store, read from the files without loading a network."""

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.markdown import Markdown
from rich.table import Table

from service.commands.console import CommandError, out
from service.commands.options import ModelStore, command, settings_with

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "weights.safetensors"

SERVED, ASKABLE, MEASURED = "served", "variant=", "evaluate"
FINDS, ALIGNS, FOLLOWS, FEELS = ("align", "track", "affect"), ("align",), ("track",), ("affect",)
DEFAULT = "face-voice"  # what `/affect` serves without a variant: three models together
JUDGED = (*FEELS, DEFAULT)


@dataclass(frozen=True)
class Role:
    """The use of a model that comes along: who uses it, what for, and the doors behind it."""

    used: str
    does: str
    doors: tuple[str, ...] = ()


# Of others their configuration's `about` tells what they do.
ROLES = {
    "dfa": Role(SERVED, "68 landmarks, facial actions; cleans blurred faces", FINDS),
    "dcrt": Role(SERVED, "follows faces through time", (*FOLLOWS, *FEELS)),
    "expressions": Role(SERVED, "emotion words, valence and arousal of a face", JUDGED),
    "voice": Role(SERVED, "arousal of a voice", JUDGED),
    "mtcnn": Role(SERVED, "finds faces", FINDS),
    "silero": Role(SERVED, "hears whether anybody speaks", JUDGED),
    "face_shape": Role(SERVED, "the mean head, for head pose", FINDS),
    "avi-gas": Role(ASKABLE, "affect of face and voice, joined by a gate", FEELS),
    "avi-cas": Role(ASKABLE, "affect of face and voice, side by side", FEELS),
    "vi-des": Role(ASKABLE, "affect of a face over time", FEELS),
    "vi-de": Role(ASKABLE, "affect of a single face", FEELS),
    "vi": Role(ASKABLE, "affect of a single face, learned from clean ones", FEELS),
    "au-des": Role(ASKABLE, "affect of a voice over time", FEELS),
    "au-de": Role(ASKABLE, "affect of a voice", FEELS),
    "au": Role(ASKABLE, "affect of a voice, learned from clean sound", FEELS),
    "anclaf-sa": Role(ASKABLE, "affect of a face, with attention (chapter 6)", FEELS),
    "anclaf-s": Role(ASKABLE, "affect of a face over time (chapter 6)", FEELS),
    "anclaf": Role(ASKABLE, "affect of a single face (chapter 6)", FEELS),
    "aeg-cd-sz": Role(ASKABLE, "affect of a face with its sound (chapter 5)", FEELS),
    "aeg-cd": Role(ASKABLE, "affect of a cleaned face (chapter 5)", FEELS),
    "disc": Role(ASKABLE, "affect of a face by a plain network (chapter 5)", FEELS),
    "fle": Role(MEASURED, "68 landmarks, of clean faces"),
    "fle-augmented": Role(MEASURED, "68 landmarks, degraded faces learned, none cleaned"),
    "fadenn-m": Role(MEASURED, "68 landmarks, each kind of noise cleaned apart"),
    "fadenn-s": Role(MEASURED, "as fadenn-m, kinds of noise told by a smaller part"),
    "fadenn-d": Role(MEASURED, "68 landmarks, all noise cleaned by one network"),
    "fll": Role(MEASURED, "68 landmarks, of clean faces (chapters 2 and 3)"),
    "fll-augmented": Role(MEASURED, "as fll, degraded faces learned, none cleaned"),
}
DOORS = (*FINDS, DEFAULT)
LEGEND = f"""{SERVED}: by the service and the commands, without asking
{ASKABLE}: asked for by name, as variant=vi-de of /affect or --variant vi-de
{MEASURED}: only by `countenance evaluate align --model NAME`
{DEFAULT}: what /affect serves if no variant is named, of expressions, voice and silero
`countenance models NAME` tells a model's terms in full and its card's figures;
`countenance models {" | ".join(DOORS)}` lists what is behind one door."""
# Where a card tells what was measured: of cards that tell of two versions, the present one.
FIGURES = ("The present weights", "Figures")
CARD, SECTION = "README.md", re.compile(r"^## (.+)$\n", re.MULTILINE)


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


@command
def models(
    name: Annotated[
        str | None,
        typer.Argument(
            help=f"One model, with terms and figures, or the models of one of {', '.join(DOORS)}.",
            metavar="NAME",
        ),
    ] = None,
    model_store: ModelStore = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON list, no table.")] = False,
) -> None:
    """List the models: what each does, whether it is served, and its terms; or tell all of one."""
    found = read_store(settings_with(model_store=model_store).model_store)
    if name is not None:
        found = models_behind(name, found) or [model_named(name, found)]
    if as_json:
        typer.echo(json.dumps([describe(model) for model in found], indent=2, ensure_ascii=False))
    elif name == found[0].name:
        typer.echo(in_full(found[0]))
        out.print(Markdown(card_figures(found[0])))
    else:
        out.print(as_table(found))
        out.print(LEGEND, markup=False, highlight=False)


def models_behind(door: str, found: list[StoredModel]) -> list[StoredModel]:
    """Return the models that a door uses or may be asked for; none for what is no door."""
    return [m for m in found if m.name in ROLES and door in ROLES[m.name].doors]


def model_named(name: str, found: list[StoredModel]) -> StoredModel:
    """Return the model of this name; raises CommandError with the names that there are."""
    for model in found:
        if model.name == name:
            return model
    raise CommandError(
        f"no model is called {name}: {', '.join(model.name for model in found)}; "
        f"{', '.join(DOORS)} list those behind a door"
    )


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
        role = role_of(model)
        table.add_row(model.name, role.does, role.used, terms_in_a_word(model.licence))
    return table


def role_of(model: StoredModel) -> Role:
    return ROLES.get(model.name) or Role("", first_words(model.about))


def first_words(about: str | None) -> str:
    """Return the first sentence of what a configuration tells of its model."""
    return re.split(r"[;.](?:\s|$)", about or "")[0]


def terms_in_a_word(licence: str | None) -> str:
    """Return the strictest word of a licence, or its name where it forbids nothing."""
    told = licence or "not told"
    strict = next((word for word in ("research", "non-commercial") if word in told), None)
    return strict or told.partition(";")[0]


def in_full(model: StoredModel) -> str:
    """Return what the configuration tells of a model, a line each."""
    facts = {
        "does": role_of(model).does,
        "about": model.about,
        "used": role_of(model).used,
        "terms": model.licence or "not told",
        "version": model.version,
        "sha256": model.sha256,
        "size": f"{model.size_bytes / 1e6:.1f} MB",
        "card": model.folder / CARD,
    }
    return "\n".join([model.name, *(f"{name:8}{fact}" for name, fact in facts.items() if fact)])


def card_figures(model: StoredModel) -> str:
    """Return what the model's card tells of its figures, or its configuration's if it has none.

    A card that is one page without such a section is returned whole.
    """
    try:
        text = (model.folder / CARD).read_text(encoding="utf-8")
    except FileNotFoundError:
        return "\n".join(f"- {name}: {figure}" for name, figure in model.figures.items())
    before, *parts = SECTION.split(text)
    sections = dict(zip(parts[::2], parts[1::2], strict=True))
    title = next((title for title in FIGURES if title in sections), None)
    return f"## {title}\n{sections[title]}" if title else before
