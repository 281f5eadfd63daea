"""The models of this machine, of which only those are loaded that a command needs."""

import asyncio
import importlib
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from service.commands.console import CommandError
from service.commands.options import settings_with
from service.inference import Answer, Inference, Question
from service.inference.local import HANDLERS, Loaded, LocalInference, bound_threads, resolve_device
from service.settings import Settings
from service.telemetry.logs import configure_logging

Result = TypeVar("Result")


@dataclass(frozen=True)
class Here:
    """Where the models lie and what runs them, as far as the command line says."""

    model_store: Path | None = None
    device: str | None = None

    def settings(self) -> Settings:
        """The settings, for a command: it logs what goes wrong, as text."""
        return settings_with(
            model_store=self.model_store,
            device=self.device,
            inference="local",
            log_level="warning",
            log_format="text",
        )

    def models(self, *names: str) -> "Models":
        """The models `names`, not yet loaded; raises ConfigurationError."""
        settings = self.settings()
        configure_logging(settings)
        return Models(local_inference(settings, names))


def local_inference(settings: Settings, names: tuple[str, ...]) -> LocalInference:
    """The models `names` of the store and no others; raises ConfigurationError."""
    LocalInference.from_settings(settings)  # says what is missing, and loads nothing
    return LocalInference(lambda: _load(settings, names))


def _load(settings: Settings, names: tuple[str, ...]) -> Loaded:
    bound_threads(settings.threads, settings.engine)
    device = resolve_device(settings.device)
    handlers = {}
    for name in names:
        module, kind = HANDLERS[name]
        handler = getattr(importlib.import_module(module), kind)
        handlers[name] = handler(settings.model_store, device)
    return Loaded(device, handlers)


class Models:
    """Models of this machine behind what the service itself asks, for code that waits."""

    def __init__(self, inference: Inference) -> None:
        self._inference = inference
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        try:
            self._runner.run(self._inference.open())
        except BaseException as error:
            self._runner.close()
            if isinstance(error, OSError | ValueError | KeyError | RuntimeError):
                raise CommandError(f"the models cannot be loaded: {error}") from error
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._inference.close())
        self._runner.close()

    @property
    def inference(self) -> Inference:
        """What answers; it lives on the loop of `run`."""
        return self._inference

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Do something that asks the models."""
        return self._runner.run(work)

    def ask(
        self,
        model: str,
        inputs: Mapping[str, Any],
        options: Mapping[str, Any],
        state: bytes | None = None,
    ) -> Answer:
        """One answer; raises ServiceError for what the model refuses."""
        return self._runner.run(self._inference.ask(model, Question(inputs, options, state)))
