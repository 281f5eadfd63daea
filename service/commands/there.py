"""A service elsewhere, asked as often as it wants to be asked."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from service.client import Countenance, ProblemError, UnreachableError
from service.commands.console import CommandError
from service.commands.here import Here

Answer = TypeVar("Answer")

TRIES = 8
LONGEST_WAIT_S = 60.0
FINAL = {401, 403, 404}


@dataclass(frozen=True)
class There:
    """The service at `url`, with the API key that it wants, if any."""

    url: str
    key: str | None = None

    def client(self) -> Countenance:
        """A client, open."""
        return Countenance(self.url, self.key)


def choose_where(
    url: str | None,
    key: str | None,
    key_file: Path | None,
    model_store: Path | None,
    device: str | None,
) -> Here | There:
    """The service that is named, else the models here; raises OSError for the key's file."""
    if url is None:
        return Here(model_store, device)
    return There(url, key_file.read_text(encoding="utf-8").strip() if key_file else key)


def patiently(ask: Callable[[], Answer]) -> Answer:
    """Ask, and again where the service says when to come back.

    Raises ProblemError for what another source would not share, CommandError for what it would.
    """
    for _ in range(TRIES):
        try:
            return ask()
        except UnreachableError as error:
            raise CommandError(str(error)) from error
        except ProblemError as error:
            if error.status in FINAL:
                raise CommandError(str(error)) from error
            if error.retry_after is None:
                raise
            time.sleep(min(error.retry_after, LONGEST_WAIT_S))
    return ask()
