"""The embedded default: the handlers run in this process, on one thread of their own."""

import asyncio
import contextvars
import importlib
import importlib.util
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

from service.errors import ConfigurationError, Problem, ServiceError
from service.inference import (
    Answer,
    Batch,
    Question,
    Readiness,
    pack_question,
    unpack_answer,
    weights_in,
    weights_of,
)
from service.inference.gathering import Gatherer, Reply, Row, most_rows
from service.settings import Settings
from service.telemetry import fields

HANDLERS: Mapping[str, tuple[str, str]] = {
    "align": ("handlers.align", "AlignHandler"),
    "track": ("handlers.track", "TrackHandler"),
    "affect": ("handlers.affect", "AffectHandler"),
}
# Models of sessions, which a store may lack: by the folders of which it then has none.
OPTIONAL: Mapping[str, tuple[str, ...]] = {
    "track": ("dcrt",),
    "affect": (
        *("avi-gas", "avi-cas", "vi-des", "au-des", "vi-de", "au-de", "vi", "au"),
        *("anclaf-sa", "anclaf-s", "anclaf", "aeg-cd-sz", "aeg-cd", "disc"),
        *("expressions", "voice"),
    ),
}
ENGINE = "onnxruntime"  # of processors; torch computes on GPUs
CPU = "cpu"
MOST_LANES = 4  # of usual work: what is not in the engine is done under Python's one lock
# By lane: larger work gets what processor time the usual work leaves.
NICENESS = (0, 5, 10)
# A thread that wants to run Python waits for others that do no longer than this.
SWITCH_S = 0.001
Result = TypeVar("Result")

logger = logging.getLogger(__name__)


def bound_threads(threads: int, engine: str | None = None) -> None:
    """Choose with how many threads, and by what where it is given, this process computes.

    Waking a second thread costs the small networks of a live session more than it brings them, and
    the other cores have work: reading clips, encoding beside the tracker, other processes.
    """
    importlib.import_module("handlers.engines.choice").choose(threads, engine)


def usual_lanes(threads: int) -> int:
    """Return how many calls of usual work are made at once, of computations with `threads` each."""
    return max(1, min(len(os.sched_getaffinity(0)) // threads, MOST_LANES))


class Handler(Protocol):
    """The methods of a handler that the service calls."""

    def handle(self, rows: Sequence[bytes]) -> list[bytes]:
        """Answer every row with one packed reply."""

    def describe(self) -> dict[str, Any]:
        """Say what is served."""


class Abandoned(Exception):
    """Nobody waits for the answer any more."""


@dataclass(frozen=True)
class Loaded:
    """Handlers by the name of their model, the device they are on, and what the store lacks.

    `previous` are those of the version before, which the sessions that began on it finish on.
    """

    device: str
    handlers: Mapping[str, Handler]
    absent: Mapping[str, str] = field(default_factory=dict)
    previous: Mapping[str, Handler] = field(default_factory=dict)

    def choose(self, model: str, weights: str | None) -> Handler | None:
        """Return the handler for a state that these `weights` wrote, None for none."""
        older = self.previous.get(model)
        if weights is not None and older is not None and _weights(older) == weights:
            return older
        return self.handlers.get(model)


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
        self._threads: list[ThreadPoolExecutor] = []
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
            ThreadPoolExecutor(
                1 if lane else self._lanes, f"inference-{lane}", _step_back, (niceness,)
            )
            for lane, niceness in enumerate(NICENESS)
        ]
        try:
            self._loaded = await self._run(self._load)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Drop what waits, let what runs finish, and forget the handlers."""
        threads, self._threads = self._threads, []
        self._gatherer.close(_closed())
        for thread in threads:
            await asyncio.to_thread(thread.shutdown, wait=True, cancel_futures=True)
        self._loaded = Loaded(self._loaded.device, {})

    async def ask(self, model: str, question: Question) -> Answer:
        """Answer one question, in the order of asking; raises ServiceError."""
        handler = self._loaded.choose(model, weights_of(question.state))
        if handler is None:
            raise ServiceError(Problem.UNAVAILABLE, f"the model {model} is not loaded")
        body, most = pack_question(question), most_rows(model, question)
        reply = await self._gatherer.ask(handler, body, most, load=question.load)
        return replace(unpack_answer(reply.body), batch=reply.batch)

    async def describe(self) -> list[dict[str, Any]]:
        """Return what the handlers say of themselves."""
        loaded = (*self._loaded.handlers.values(), *self._loaded.previous.values())
        return [handler.describe() for handler in loaded]

    async def readiness(self) -> Readiness:
        """Ready means that the handlers are loaded: they are, all of them, or none is."""
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
        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads[lane], lambda: context.run(work))


def load_handlers(model_store: Path, device: str, previous_store: Path | None = None) -> Loaded:
    """Make every handler from the weights in `model_store`; raises what loading raises.

    An optional model whose folder is not there is left out, one that is broken is not. Of
    `previous_store` the models of sessions are loaded too, where their weights differ.
    """
    device = resolve_device(device)
    absent = missing_models(model_store)
    for name in absent:
        logger.warning("model not in the store", extra=fields(model=name))
    handlers = {
        name: load_handler(name, model_store, device) for name in HANDLERS if name not in absent
    }
    previous = {} if previous_store is None else _load_previous(handlers, previous_store, device)
    return Loaded(device, handlers, absent, previous)


def missing_models(model_store: Path) -> dict[str, str]:
    """Name the optional models that the store lacks, each with what is missing."""
    return {
        name: f"the model store has no folder {folders[0]}"
        + (" nor that of another variant" if len(folders) > 1 else "")
        for name, folders in OPTIONAL.items()
        if name in HANDLERS and not _holds(model_store, name)
    }


def _load_previous(newer: Mapping[str, Handler], store: Path, device: str) -> dict[str, Handler]:
    found = {
        name: load_handler(name, store, device)
        for name in OPTIONAL
        if name in newer and _holds(store, name)
    }
    return {
        name: handler
        for name, handler in found.items()
        if _weights(handler) != _weights(newer[name])
    }


def _holds(store: Path, name: str) -> bool:
    return any((store / folder).is_dir() for folder in OPTIONAL[name])


def load_handler(name: str, store: Path, device: str) -> Handler:
    """Make the handler of one model; raises what loading raises."""
    module, cls = HANDLERS[name]
    handler: Handler = getattr(importlib.import_module(module), cls)(store, device)
    told = fields(model=name, device=device, version=handler.describe().get("version"))
    logger.info("model loaded", extra=told)
    return handler


def _weights(handler: Handler) -> str | None:
    return weights_in(handler.describe())


def check_engine(settings: Settings) -> None:
    """Refuse settings that ask for what is not installed; raises ConfigurationError."""
    on_gpu = settings.device not in ("auto", "cpu")
    needed, extra = ("torch", "gpu") if settings.engine == "torch" or on_gpu else (ENGINE, "models")
    if importlib.util.find_spec(needed) is None:
        raise ConfigurationError(
            f"the models run in this process (inference=local), but {needed} is not installed: "
            f"pip install 'countenance[{extra}]'"
        )
    if settings.engine == ENGINE and on_gpu:
        raise ConfigurationError(
            f"engine={ENGINE} computes on processors; device is {settings.device}, not auto or cpu"
        )


def resolve_device(device: str) -> str:
    """Return the device's name, `auto` being CUDA where there is one."""
    resolved: str = importlib.import_module("handlers.engines.choice").resolve_device(device)
    return resolved


def _step_back(by: int) -> None:
    """Let this thread have what processor time those of the usual work leave."""
    beside = importlib.import_module("handlers.engines.beside")
    beside.step_back(beside.niceness() + by)


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
