"""Options that several commands share, and whom they ask: the models here or a service."""

import inspect
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, is_dataclass
from functools import partial, wraps
from inspect import Parameter
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_type_hints, is_typeddict

import typer

from service.client import Countenance, ProblemError, UnreachableError
from service.commands.console import EXIT_USAGE, CommandError, fail, mistakes_explained
from service.errors import Problem
from service.options import MIN_FACE_PX, MIN_QUALITY, Option
from service.settings import Settings, load_settings

here_option = partial(typer.Option, rich_help_panel="Models of this machine")
there_option = partial(typer.Option, rich_help_panel="A service elsewhere")
result_option = partial(typer.Option, rich_help_panel="Results")

ModelStore = Annotated[
    Path | None,
    here_option(help="Folder of the models.", show_default="the setting's, model_store"),
]
Device = Annotated[
    str | None,
    here_option(help="auto, cpu, cuda, cuda:1...", show_default="the setting's, auto"),
]
Out = Annotated[
    Path | None,
    result_option(
        file_okay=False,
        help="Folder for one file of results each, instead of stdout; what is there already is "
        "skipped, so that a second run goes on where the first one was stopped.",
    ),
]
Again = Annotated[bool, result_option("--again", help="Do anew what is done already.")]
Jobs = Annotated[
    int,
    typer.Option(
        min=1, max=256, help="Processes that share the work, each with one thread and the models."
    ),
]
Answer = TypeVar("Answer")

TRIES = 8  # of one question, while the service asks to come back later
LONGEST_WAIT_S = 60.0
FINAL = {401, 403, 404}  # statuses that other sources would meet too
LabelledFaces = Annotated[
    Path, typer.Option(exists=True, file_okay=False, help="Folder of the labelled faces.")
]
Layout = Annotated[str, typer.Option(help="Layout of the folder, or auto.")]
Figures = Annotated[
    Path | None, typer.Option(file_okay=False, help="Folder for JSON, CSV and pictures.")
]
Record = Annotated[
    bool, typer.Option("--record", help="Write the figures into the models' configurations.")
]


def typer_option(option: Option[Any], panel: str | None = None) -> Any:
    """Return an option of the interface as one of the command line, bounds and words the same."""
    words = option.meaning.replace("`", "")
    return typer.Option(min=option.least, max=option.most, help=words, rich_help_panel=panel)


MinFacePx = Annotated[int, typer_option(MIN_FACE_PX)]
MinQuality = Annotated[float, typer_option(MIN_QUALITY)]


@dataclass(frozen=True)
class Where:
    """The service at `url`, with the key that it wants, or the models of this machine."""

    url: Annotated[
        str | None, there_option(help="Ask the service at this address, not the models here.")
    ] = None
    key: Annotated[
        str | None, there_option(help="API key of that service.", envvar="COUNTENANCE_KEY")
    ] = None
    key_file: Annotated[
        Path | None, there_option(exists=True, dir_okay=False, help="File with that API key.")
    ] = None
    model_store: ModelStore = None
    device: Device = None

    def __post_init__(self) -> None:
        """Read the key's file, which workers elsewhere do not have; raises OSError."""
        if self.key_file is not None:
            # Frozen for everybody else: it is sent to other processes as it is.
            object.__setattr__(self, "key", self.key_file.read_text(encoding="utf-8").strip())

    def client(self) -> Countenance:
        """Return a client, open; raises ConfigurationError where no model can run here."""
        return Countenance(self.url, self.key, model_store=self.model_store, device=self.device)


@dataclass(frozen=True)
class Results:
    """The place of results, and how the work on them is shared."""

    out: Out = None
    again: Again = False
    jobs: Jobs = 1

    @property
    def are_printed(self) -> bool:
        """Whether results go to stdout."""
        return self.out is None

    def form(self, **asked: bool) -> str:
        """Return the form that was asked for, else text on stdout and CSV in files.

        Exits as wrong usage where more than one was asked for.
        """
        chosen = [form for form, wanted in asked.items() if wanted]
        if len(chosen) > 1:
            fail(f"--{chosen[0]} and --{chosen[1]} exclude each other", EXIT_USAGE)
        return chosen[0] if chosen else "text" if self.are_printed else "csv"


def command(work: Callable[..., None]) -> Callable[..., None]:
    """Make a function one that Typer takes, whose mistakes are told in one line.

    A parameter of `Where`, of `Results` or of keywords of `service.options` stands for theirs.
    """
    parameters = inspect.signature(work).parameters.values()
    groups = {one.name: one.annotation for one in parameters if _is_group(one.annotation)}
    members = {name: _members(kind) for name, kind in groups.items()}
    options = [option for one in parameters for option in members.get(one.name, [one])]

    @wraps(work)
    def call(**given: Any) -> None:
        with mistakes_explained():
            for name, kind in groups.items():
                given[name] = kind(**{one.name: given.pop(one.name) for one in members[name]})
            work(**given)

    # Typer reads options off both.
    call.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
    call.__annotations__ = {option.name: option.annotation for option in options}
    return call


def _is_group(annotation: Any) -> bool:
    return is_dataclass(annotation) or is_typeddict(annotation)


def _members(kind: Any) -> list[Parameter]:
    """Return the options that a group stands for, each with its default."""
    hints = get_type_hints(kind, include_extras=True)
    if is_dataclass(kind):
        return [_option(name, hint, getattr(kind, name)) for name, hint in hints.items()]
    found = []
    for name, hint in hints.items():
        plain, option = get_args(hint)
        found.append(_option(name, Annotated[plain, typer_option(option)], option.default))
    return found


def _option(name: str, annotation: Any, default: object) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


def settings_with(**given: Any) -> Settings:
    """Return the settings of the environment, except what the command line gave."""
    return load_settings(**{name: value for name, value in given.items() if value is not None})


def ask(question: Callable[[], Answer]) -> Answer:
    """Ask, and again where the service says when to come back.

    Raises ProblemError for what another source would not share, CommandError for what it would.
    """
    for left in reversed(range(TRIES)):
        try:
            return question()
        except (ProblemError, UnreachableError) as error:
            _wait_or_raise(error, left)
    raise AssertionError("the last try returns or raises")


def ask_lines(question: Callable[[], Iterator[Answer]]) -> Iterator[Answer]:
    """Ask for lines; a service that wants to be asked later, before the first, is asked later."""
    for left in reversed(range(TRIES)):
        begun = False
        try:
            for line in question():
                begun = True
                yield line
            return
        except (ProblemError, UnreachableError) as error:
            _wait_or_raise(error, 0 if begun else left)


def _wait_or_raise(error: ProblemError | UnreachableError, left: int) -> None:
    if isinstance(error, UnreachableError):
        raise CommandError(str(error)) from error
    if error.status in FINAL:
        raise CommandError(str(error)) from error
    if error.retry_after is None or not left:
        if error.problem is Problem.UNAVAILABLE:
            raise CommandError(error.detail) from error
        raise error
    time.sleep(min(error.retry_after, LONGEST_WAIT_S))
