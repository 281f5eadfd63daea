"""The models of this process, each loaded when it is first asked."""

import asyncio
from collections.abc import Mapping
from typing import Any, Self

from service.errors import Problem, ServiceError
from service.inference import Answer, Question, Readiness
from service.inference.local import (
    HANDLERS,
    Handler,
    Loaded,
    LocalInference,
    bound_threads,
    load_handler,
    missing_models,
    resolve_device,
)
from service.settings import Settings

LOADING_FAILS = (OSError, ValueError, KeyError, RuntimeError, ModuleNotFoundError)


class OnDemandInference(LocalInference):
    """Starts at once; whoever asks a model first waits until it is loaded."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(lambda: _nothing_yet(settings))
        self._settings = settings
        self._handlers: dict[str, Handler] = {}
        self._loading = asyncio.Lock()

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Check that handlers can run here, loading nothing; raises ConfigurationError."""
        LocalInference.from_settings(settings)
        return cls(settings)

    async def ask(self, model: str, question: Question) -> Answer:
        """Load the model if need be and answer; raises ServiceError."""
        await self._load_model(model)
        return await super().ask(model, question)

    async def describe(self) -> list[dict[str, Any]]:
        """Load every model and return what they say of themselves."""
        for model in await self._names():
            await self._load_model(model)
        return await super().describe()

    async def readiness(self) -> Readiness:
        """Say which models there are; every model of the store counts as loaded."""
        names = tuple(await self._names())
        reason = None if names else "the model store holds no model"
        return Readiness(bool(names), self._loaded.device, names, reason, self._loaded.absent)

    async def _names(self) -> list[str]:
        return [name for name in HANDLERS if name not in self._loaded.absent]

    async def _load_model(self, model: str) -> None:
        async with self._loading:
            loaded = self._loaded
            if model in loaded.handlers or model in loaded.absent or model not in HANDLERS:
                return
            store = self._settings.model_store
            try:
                handler = await self._run(lambda: load_handler(model, store, loaded.device))
            except LOADING_FAILS as error:
                told = f"the model {model} cannot be loaded: {error}"
                raise ServiceError(Problem.UNAVAILABLE, told) from error
            self._handlers[model] = handler
            handlers: Mapping[str, Handler] = dict(self._handlers)
            self._loaded = Loaded(loaded.device, handlers, loaded.absent)


def _nothing_yet(settings: Settings) -> Loaded:
    bound_threads(settings.threads, settings.engine)
    return Loaded(resolve_device(settings.device), {}, missing_models(settings.model_store))
