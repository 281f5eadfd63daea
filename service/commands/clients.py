"""Who is asked by a command: the service of this process, or one elsewhere, until it answers."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from service.client import Countenance, ProblemError, UnreachableError
from service.commands.console import CommandError
from service.errors import Problem

Answer = TypeVar("Answer")

TRIES = 8
LONGEST_WAIT_S = 60.0
FINAL = {401, 403, 404}


@dataclass(frozen=True)
class Where:
    """The service at `url`, with the key that it wants, or the models of this machine."""

    url: str | None = None
    key: str | None = None
    model_store: Path | None = None
    device: str | None = None

    def client(self) -> Countenance:
        """Return a client, open; raises ConfigurationError where no model can run here."""
        return Countenance(self.url, self.key, model_store=self.model_store, device=self.device)


def choose_where(
    url: str | None,
    key: str | None,
    key_file: Path | None,
    model_store: Path | None,
    device: str | None,
) -> Where:
    """Return whom the options name; raises OSError for the key's file."""
    key = key_file.read_text(encoding="utf-8").strip() if key_file else key
    return Where(url, key, model_store, device)


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
