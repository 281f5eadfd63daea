"""The handlers that run in this process: which there are, what they need, how they are loaded."""

import importlib
import importlib.util
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from service.errors import ConfigurationError
from service.inference import weights_in
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
logger = logging.getLogger(__name__)


def bound_threads(threads: int, engine: str | None = None) -> None:
    """Choose with how many threads, and by what where it is given, this process computes.

    Waking a second thread costs the small networks of a live session more than it brings them, and
    the other cores have work: reading clips, encoding beside the tracker, other processes.
    """
    importlib.import_module("handlers.engines.choice").choose(threads, engine)


class Handler(Protocol):
    """The methods of a handler that the service calls."""

    def handle(self, rows: Sequence[bytes | Mapping[str, Any]]) -> list[bytes]:
        """Answer every row, packed or not, with one packed reply."""

    def describe(self) -> dict[str, Any]:
        """Say what is served."""


@dataclass(frozen=True)
class Loaded:
    """Handlers by the name of their model, the device they are on, and what the store lacks.

    `previous` are those of the version before, which the sessions that began on it finish on.
    """

    device: str
    handlers: Mapping[str, Handler]
    absent: Mapping[str, str] = field(default_factory=dict)
    previous: Mapping[str, Handler] = field(default_factory=dict)


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
    # Looked for, not imported: a mistake is to be told before seconds of loading.
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
