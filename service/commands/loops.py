"""The event loop of a worker: where the models here live, or a service elsewhere is asked from."""

import asyncio
from collections.abc import Coroutine
from contextlib import ExitStack
from typing import Any, Self, TypeVar

from service.client import ProblemError, UnreachableError
from service.commands.console import CommandError
from service.commands.here import Here
from service.commands.there import FINAL, There
from service.inference import Inference

Result = TypeVar("Result")


class Loop:
    """Runs what asks `model`; a context manager that loads it where it is one of this machine."""

    def __init__(self, where: Here | There, model: str) -> None:
        """Raise ConfigurationError where the models cannot be here."""
        self._models = where.models(model) if isinstance(where, Here) else None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        if self._models is not None:
            self._stack.enter_context(self._models)
        else:
            self._runner = self._stack.enter_context(asyncio.Runner())
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def inference(self) -> Inference | None:
        """What answers here, None where a service elsewhere does."""
        return None if self._models is None else self._models.inference

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Do it; raises CommandError for what every other clip would meet too."""
        try:
            if self._models is not None:
                return self._models.run(work)
            return self._runner.run(work)
        except UnreachableError as error:
            raise CommandError(str(error)) from error
        except ProblemError as error:
            if error.status in FINAL:
                raise CommandError(str(error)) from error
            raise
