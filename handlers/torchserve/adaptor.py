"""TorchServe's way to call a handler -> ours: requests of several rows each, and their replies."""

import importlib
import logging
import os
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Protocol

import torch

from handlers.base import DeviceFault, Handler
from handlers.engines.choice import choose, chosen
from handlers.torchserve.models import MODELS, sizes_of, warm_up
from handlers.torchserve.watching import DESCRIBE
from handlers.wire import WireError, pack, unpack, write_error, write_reply

CPU = "cpu"
UNAVAILABLE, INVALID_REQUEST = "unavailable", "invalid-request"
# All but the empty map at its end opens every packed error: none need be unpacked to be told.
ERROR_START = pack({"error": {}})[:-1]
NOISE = ("Backend received inference", "[METRICS]")
REMEMBERED_IDS = 1024
EXIT_DEVICE_FAULT = 70
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Call:
    """Packed rows, and of each the id of the request that it came with, if it has one."""

    rows: Sequence[bytes]
    request_ids: Sequence[str | None]


def read_call(body: bytes | bytearray) -> Call:
    """Read `{"rows": [bytes], "request_ids": [str?]}`; raises WireError."""
    message = unpack(body)
    rows, request_ids = message.get("rows"), message.get("request_ids")
    if not isinstance(rows, list) or not all(isinstance(row, bytes) for row in rows):
        raise WireError("rows are a list of packed rows")
    if not isinstance(request_ids, list) or len(request_ids) != len(rows):
        raise WireError("request_ids are a list of as many ids as there are rows")
    return Call(rows, request_ids)


def write_replies(replies: Sequence[bytes], milliseconds: float) -> bytes:
    """Write the packed replies to the rows of one call, and how long their batch was at work."""
    return pack({"replies": replies, "milliseconds": milliseconds})


class Context(Protocol):
    """The used part of TorchServe's context."""

    model_name: str
    model_yaml_config: dict[str, Any]
    system_properties: dict[str, Any]


class Adaptor:
    """A worker's object: one model, on the device that TorchServe gives to the worker.

    A model that cannot be loaded answers every request with `unavailable` and the reason, so that
    the service can tell it; a worker that died of it would be started again and again. Loading is
    tried anew at a question, when `load_again_s` have passed. A broken device is another matter: no
    later call in the same process can succeed, so the worker ends and TorchServe starts a new one.
    """

    load_again_s = 30.0

    def __init__(self) -> None:
        self._handler: Handler[Any] | None = None
        self._failure = "the model is not loaded"
        self._tried_at = 0.0
        self._logged: deque[str] = deque(maxlen=REMEMBERED_IDS)

    def initialize(self, context: Context) -> None:
        """Load the model; the worker calls it once, before any row."""
        options = context.model_yaml_config["countenance"]
        self._model = context.model_name
        self._store = Path(options["model_store"])
        self._gpu = context.system_properties.get("gpu_id") if options["on_gpu"] else None
        self._on_gpu = bool(options["on_gpu"])
        self._workers, self._most_rows = int(options["workers"]), int(options["rows"])
        drop_request_lines()
        choose(int(options["threads"]))
        chosen.cuda_graphs = bool(options["cuda_graphs"])
        self._load()

    def handle(self, data: Sequence[Mapping[str, bytes | bytearray]], _: Context) -> list[bytes]:
        """Answer every request, in order; the rows of one are a batch."""
        if self._handler is None and time.monotonic() - self._tried_at > self.load_again_s:
            self._load()
        try:
            return [self._answer(request.get("body", b""), self._handler) for request in data]
        except (DeviceFault, torch.AcceleratorError) as error:
            self._end(error)

    def make(self, store: Path, device: str) -> Handler[Any]:
        """Make the handler of this worker's model; raises what that raises."""
        served = MODELS[self._model]
        handler = getattr(importlib.import_module(served.module), served.handler)(store, device)
        warm_up(handler, self._model, sizes_of(self._most_rows, device != CPU))
        return handler  # type: ignore[no-any-return]

    def _end(self, error: Exception) -> NoReturn:
        """End this process; what was asked of it, the service asks another worker."""
        logger.critical("%s on %s: the worker ends: %s", self._model, self._device, error)
        logging.shutdown()
        # An ordinary exit runs the clean-up of CUDA, which can hang on a broken device.
        os._exit(EXIT_DEVICE_FAULT)

    def _load(self) -> None:
        # Before the attempt: one that fails is not made again by the very next question.
        self._tried_at = time.monotonic()
        try:
            self._device = device_of(self._gpu, torch.cuda.device_count(), self._on_gpu)
            if self._device != CPU:
                torch.cuda.set_device(self._device)
                prepare_gpu()
            self._handler = self.make(self._store, self._device)
        except (DeviceFault, torch.AcceleratorError) as error:
            self._end(error)
        except Exception as error:
            logger.exception("%s cannot be loaded", self._model)
            self._failure = f"the model cannot be loaded ({type(error).__name__}: {error})"

    def _answer(self, body: bytes | bytearray, handler: Handler[Any] | None) -> bytes:
        if handler is None:
            return write_error(UNAVAILABLE, self._failure)
        if body == DESCRIBE:
            # A broken device shows when it computes; a description alone would still succeed.
            touch(self._device)
            told = {"device": self._device, "workers": self._workers}
            return write_reply({"description": handler.describe(), **told})
        try:
            call = read_call(body)
        except WireError as error:
            return write_error(INVALID_REQUEST, str(error))
        started = time.perf_counter()
        replies = handler.handle(call.rows)
        milliseconds = (time.perf_counter() - started) * 1000
        if len(replies) != len(call.rows):
            raise RuntimeError(f"{len(replies)} replies came for {len(call.rows)} rows")
        self._log(call.request_ids, replies)
        return write_replies(replies, milliseconds)

    def _log(self, request_ids: Sequence[str | None], replies: Sequence[bytes]) -> None:
        """Leave a line of each request when it is first seen, and of each row that is refused."""
        new = {found for found in request_ids if found is not None} - {*self._logged}
        if new:
            self._logged.extend(new)
            logger.info("rows answered: request_ids=%s", ",".join(sorted(new)))
        for request_id, reply in zip(request_ids, replies, strict=True):
            if reply.startswith(ERROR_START):
                logger.info("row refused: request_id=%s %.200r", request_id, reply)


def device_of(gpu: int | str | None, gpus: int, on_gpu: bool) -> str:
    """Return the device of a worker: the GPU that TorchServe gives it, as `cuda:1`, else `cpu`.

    `gpus` is how many torch sees. Raises RuntimeError where the worker's is not among them, and
    where it was promised one (`on_gpu`) and gets none: it would compute on the CPU unnoticed.
    """
    if gpu is None or int(gpu) < 0:
        if on_gpu:
            raise RuntimeError(f"a GPU was promised, and TorchServe gave none ({gpu})")
        return CPU
    if int(gpu) >= gpus:
        raise RuntimeError(f"TorchServe gave GPU {gpu}, but torch sees {gpus} GPUs")
    return f"cuda:{int(gpu)}"


def touch(device: str) -> None:
    """Compute a little on the device; raises where it is broken, which no other query shows."""
    torch.ones(1, device=device).add(1).item()


def prepare_gpu() -> None:
    """Let single precision use the tensor cores: ten bits of mantissa in products."""
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = True


def drop_request_lines() -> None:
    """Drop the lines that TorchServe's worker logs for every request."""
    for handler in logging.getLogger().handlers:
        handler.addFilter(lambda record: not str(record.msg).startswith(NOISE))
