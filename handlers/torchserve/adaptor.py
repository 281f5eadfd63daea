"""TorchServe's way to call a handler -> ours: rows of bodies to packed replies, one a row."""

import importlib
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import cv2
import torch

from handlers.torchserve.asking import DESCRIBE
from handlers.torchserve.models import MODELS
from handlers.torchserve.precision import choose_precision, prepare_gpu
from handlers.torchserve.warming import first_row, sizes_of, warm_up
from handlers.wire import pack, write_error, write_reply

CPU = "cpu"
UNAVAILABLE = "unavailable"
# Of the batch that a row shared: how many rows it had, and how long it took.
ROWS_HEADER, TIME_HEADER = "X-Batch-Rows", "X-Batch-Milliseconds"
ERROR_START = pack({"error": {}})[:-1]
NOISE = "Backend received inference"

logger = logging.getLogger(__name__)

Row = Mapping[str, bytes | bytearray]


class Handler(Protocol):
    """What is asked of a handler object: handlers.base.Handler."""

    def handle(self, rows: Sequence[bytes | bytearray]) -> list[bytes]: ...

    def describe(self) -> dict[str, Any]: ...


class Context(Protocol):
    """What is used of TorchServe's context."""

    model_name: str
    model_yaml_config: dict[str, Any]
    system_properties: dict[str, Any]

    def get_request_header(self, idx: int, key: str) -> str | None: ...

    def set_response_header(self, idx: int, key: str, value: str) -> None: ...


class Adaptor:
    """What a worker makes: one model, on the device that TorchServe gives to the worker.

    A model that cannot be loaded answers every row with `unavailable` and the reason, so that the
    service can tell it; a worker that died of it would be started again and again. Loading is tried
    anew at a question, when `load_again_s` have passed.
    """

    load_again_s = 30.0

    def __init__(self) -> None:
        self._handler: Handler | None = None
        self._failure = "the model is not loaded"
        self._tried_at = 0.0

    def initialize(self, context: Context) -> None:
        """Load the model; the worker calls it once, before any row."""
        options = context.model_yaml_config["countenance"]
        self._model = context.model_name
        self._store = Path(options["model_store"])
        self._gpu = context.system_properties.get("gpu_id")
        self._batch_size = int(context.system_properties["batch_size"])
        quieten()
        bound_threads(int(options["threads"]))
        self._load()

    def handle(self, data: Sequence[Row], context: Context) -> list[bytes]:
        """Answer every row, in order."""
        if self._handler is None and time.monotonic() - self._tried_at > self.load_again_s:
            self._load()
        if self._handler is None:
            return [write_error(UNAVAILABLE, self._failure) for _ in data]
        bodies = dict(enumerate(row.get("body", b"") for row in data))
        asked = {index: body for index, body in bodies.items() if body != DESCRIBE}
        started = time.perf_counter()
        answers = self._handler.handle(list(asked.values())) if asked else []
        milliseconds = (time.perf_counter() - started) * 1000
        for index in asked:
            context.set_response_header(index, ROWS_HEADER, str(len(asked)))
            context.set_response_header(index, TIME_HEADER, f"{milliseconds:.2f}")
        replies = dict(zip(asked, answers, strict=True))
        self._log_refused(replies, context)
        return [replies.get(index) or self._description(self._handler) for index in bodies]

    def make(self, store: Path, device: str) -> Handler:
        """Make the handler of this worker's model; raises what that raises."""
        served = MODELS[self._model]
        handler = getattr(importlib.import_module(served.module), served.handler)(store, device)
        sizes = sizes_of(self._batch_size, device != CPU)
        warm_up(handler, self._model, sizes)
        if device == CPU:
            return handler  # type: ignore[no-any-return]
        row = first_row(self._model)
        chosen = choose_precision(handler, [row] * self._batch_size, device)
        warm_up(chosen, self._model, sizes)
        return chosen

    def _load(self) -> None:
        self._tried_at = time.monotonic()
        try:
            self._device = device_of(self._gpu, torch.cuda.device_count())
            if self._device != CPU:
                torch.cuda.set_device(self._device)
                prepare_gpu()
            self._handler = self.make(self._store, self._device)
        except Exception as error:
            logger.exception("%s cannot be loaded", self._model)
            self._failure = f"the model cannot be loaded ({type(error).__name__}: {error})"

    def _description(self, handler: Handler) -> bytes:
        return write_reply({"description": handler.describe(), "device": self._device})

    def _log_refused(self, replies: Mapping[int, bytes], context: Context) -> None:
        """Leave the request's id with what a row was refused for: a batch mixes requests."""
        for index, reply in replies.items():
            if reply.startswith(ERROR_START):
                request_id = context.get_request_header(index, "X-Request-ID")
                logger.info("row refused: request_id=%s %.200r", request_id, reply)


def device_of(gpu: int | str | None, gpus: int) -> str:
    """The device of a worker: the GPU that TorchServe gives it, as `cuda:1`, else `cpu`.

    `gpus` is how many torch sees; raises RuntimeError where the worker's is not among them, for
    nobody wants to compute on the CPU unawares.
    """
    if gpu is None or int(gpu) < 0:
        return CPU
    if int(gpu) >= gpus:
        raise RuntimeError(f"TorchServe gave GPU {gpu}, but torch sees {gpus} GPUs")
    return f"cuda:{int(gpu)}"


def bound_threads(threads: int) -> None:
    """Let this process compute with so many threads: workers share the machine's cores."""
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)


def quieten() -> None:
    """Drop the line that TorchServe's worker logs for every batch."""
    for handler in logging.getLogger().handlers:
        handler.addFilter(lambda record: not str(record.msg).startswith(NOISE))
