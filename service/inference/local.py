"""The embedded default: the handlers run in this process, on threads of their own."""

import asyncio
import contextvars
import importlib
import importlib.util
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Self, TypeVar

from service.errors import ConfigurationError, Problem, ServiceError
from service.inference import (
    Answer,
    Batch,
    Question,
    Readiness,
    unpack_answer,
    weights_in,
    weights_of,
)
from service.inference.gathering import Gatherer, Reply, Row, most_rows
from service.inference.loading import (
    HANDLERS,
    Handler,
    Loaded,
    bound_threads,
    check_engine,
    load_handler,
    load_handlers,
    missing_models,
    resolve_device,
)
from service.settings import Settings

CPU = "cpu"
MOST_LANES = 4  # of usual work: what is not in the engine is done under Python's one lock
# By lane: larger work gets what processor time the usual work leaves.
NICENESS = (0, 5, 10)
# A thread that wants to run Python waits for others that do no longer than this.
SWITCH_S = 0.001
Result = TypeVar("Result")
LOADING_FAILS = (OSError, ValueError, KeyError, RuntimeError, ModuleNotFoundError)


def usual_lanes(threads: int) -> int:
    """Return how many calls of usual work are made at once, of computations with `threads` each."""
    return max(1, min(len(os.sched_getaffinity(0)) // threads, MOST_LANES))


class Abandoned(Exception):
    """Nobody waits for the answer any more."""


class LocalInference:
    """Handlers behind worker threads, so that the event loop stays free to read and answer.

    There are `lanes` threads for usual work and one for each kind of larger work. Questions that
    wait for the same handler are answered in one batch. One whose asker has gone is dropped if it
    still waits; once begun it runs to its end, and its answer is thrown away.
    """

    def __init__(self, load: Callable[[], Loaded], lanes: int = 1) -> None:
        """Take the function that makes the handlers; it runs on a worker thread, at `open`.

        A GPU has one lane in any case: its work is done one after the other.
        """
        self._load = load
        self._lanes = lanes
        self._loaded = Loaded("none", {})
        self._threads: list[list[ThreadPoolExecutor]] = []
        self._free: list[list[ThreadPoolExecutor]] = []
        self._gatherer = Gatherer(self._answer, self._usual_lanes, apart=True)

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Check that handlers can run here, loading nothing; raises ConfigurationError."""
        check_engine(settings)
        if not settings.model_store.is_dir():
            raise ConfigurationError(
                f"the model store {settings.model_store.resolve()} is no folder; "
                "COUNTENANCE_MODEL_STORE names the right one"
            )
        stores = settings.model_store, settings.previous_model_store

        def load() -> Loaded:
            bound_threads(settings.threads, settings.engine)
            return load_handlers(stores[0], settings.device, stores[1])

        return cls(load, usual_lanes(settings.threads))

    def _usual_lanes(self) -> int:
        return self._lanes if self._loaded.device == CPU else 1

    async def open(self) -> None:
        """Load every handler on the worker thread; raises what loading raises."""
        sys.setswitchinterval(SWITCH_S)
        self._threads = [
            [
                ThreadPoolExecutor(1, f"inference-{lane}", _lower_priority, (niceness,))
                for _ in range(1 if lane else self._lanes)
            ]
            for lane, niceness in enumerate(NICENESS)
        ]
        self._free = [list(lane) for lane in self._threads]
        try:
            self._loaded = await self._run(self._load)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Drop what waits, let what runs finish, and forget the handlers."""
        threads, self._threads = self._threads, []
        self._gatherer.close(_closed())
        for thread in (thread for lane in threads for thread in lane):
            await asyncio.to_thread(thread.shutdown, wait=True, cancel_futures=True)
        self._loaded = Loaded(self._loaded.device, {})

    async def ask(self, model: str, question: Question) -> Answer:
        """Answer one question, in the order of asking; raises ServiceError."""
        handler = self._choose(model, weights_of(question.state))
        if handler is None:
            raise ServiceError(Problem.UNAVAILABLE, f"the model {model} is not loaded")
        # Not packed: that would copy every picture of a clip twice.
        message, most = question.message, most_rows(model, question)
        reply = await self._gatherer.ask(handler, message, most, load=question.load)
        return replace(unpack_answer(reply.body), batch=reply.batch)

    def _choose(self, model: str, weights: str | None) -> Handler | None:
        """Return the handler for a state that these `weights` wrote, None for none."""
        older = self._loaded.previous.get(model)
        if weights is not None and older is not None and weights_in(older.describe()) == weights:
            return older
        return self._loaded.handlers.get(model)

    async def describe(self, model: str | None = None) -> list[dict[str, Any]]:
        """Return what the handlers say of themselves."""
        loaded = (*self._loaded.handlers.items(), *self._loaded.previous.items())
        return [handler.describe() for name, handler in loaded if model in (None, name)]

    async def readiness(self) -> Readiness:
        """Say whether the handlers are loaded: all of them are, or none is."""
        names = tuple(self._loaded.handlers)
        reason = None if names else "the models are not loaded"
        return Readiness(bool(names), self._loaded.device, names, reason, self._loaded.absent)

    async def _answer(self, handler: Handler, rows: Sequence[Row]) -> list[Reply]:
        """Answer rows on their lane's thread; when cancelled, return once that is free again."""
        lane, left = rows[0].lane, threading.Event()
        working = asyncio.ensure_future(self._run(lambda: _handle(handler, rows, left), lane))
        try:
            return await asyncio.shield(working)
        except asyncio.CancelledError:
            left.set()
            await asyncio.gather(working, return_exceptions=True)
            raise

    async def _run(self, work: Callable[[], Result], lane: int = 0) -> Result:
        if not self._threads:
            raise _closed()
        # Threads have none of their own: lines of the log would lack the request's id.
        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        # The one that worked last: its caches are warm, and so a lone session has one thread.
        free = self._free[lane]
        thread = free.pop() if free else self._threads[lane][0]
        try:
            return await loop.run_in_executor(thread, lambda: context.run(work))
        finally:
            if thread not in free:
                free.append(thread)


def _lower_priority(by: int) -> None:
    """Let this thread have what processor time those of the usual work leave."""
    turns = importlib.import_module("handlers.engines.choice")
    turns.step_back(turns.niceness() + by)


def _handle(handler: Handler, rows: Sequence[Row], left: threading.Event) -> list[Reply]:
    """Answer rows, usual ones together and large ones one by one, until all askers have left."""
    started = time.perf_counter()
    bodies = [row.body for row in rows]
    replies: list[bytes] = []
    for group in [[body] for body in bodies] if rows[0].lane else [bodies]:
        if left.is_set():
            raise Abandoned
        replies += handler.handle(group)
    batch = Batch(len(rows), time.perf_counter() - started)
    return [Reply(reply, batch) for reply in replies]


def _closed() -> ServiceError:
    return ServiceError(Problem.UNAVAILABLE, "the models are closed")


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

    async def describe(self, model: str | None = None) -> list[dict[str, Any]]:
        """Load every model, or the one, and return what they say of themselves."""
        for name in await self._names() if model is None else (model,):
            await self._load_model(name)
        return await super().describe(model)

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
