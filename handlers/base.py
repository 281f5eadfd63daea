"""The guard of every handler: rows of bytes in, one answer a row out, whatever a row holds."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from handlers.engines.base import is_device_fault, is_out_of_memory, release_memory
from handlers.engines.choice import threads
from handlers.wire import Request, Row, WireError, read_request, write_error, write_reply

Item = TypeVar("Item")
Outputs = dict[str, Any]
Answer = tuple[Outputs, bytes | None]

logger = logging.getLogger(__name__)

INTERNAL = "internal"
INVALID_REQUEST = "invalid-request"


class InputError(ValueError):
    """The caller's mistake: a stable `type` for programs and a `detail` for people."""

    def __init__(self, type: str, detail: str) -> None:
        super().__init__(detail)
        self.type = type
        self.detail = detail


class DeviceFault(RuntimeError):
    """The device's context is broken: nothing computes in this process any more."""


class Handler(ABC, Generic[Item]):
    """Answers rows of one model; subclasses say what a row is and how a batch of rows is computed.

    A row that cannot be read spoils only itself. When a batch fails, its rows are tried one by one,
    so that only the culprit is answered with `internal`; when the device's memory does not hold
    the batch, its halves are tried. A fault of the device itself is nobody's row: it is raised.
    """

    @abstractmethod
    def decode(self, request: Request) -> Item:
        """Read and check one row; raises InputError for what the caller did wrong."""

    @abstractmethod
    def compute(self, items: Sequence[Item]) -> list[Answer]:
        """Answer a batch: outputs and, for streams, the next state, one a row and in order."""

    def restart(self, item: Item) -> Item | None:
        """Return a failed row without its state, which may be to blame; None where it has none."""
        return None

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Say what is served: name, version, weights hash, licence, figures."""

    def handle(self, rows: Sequence[Row]) -> list[bytes]:
        """Answer every row with a packed reply or a packed error, in order.

        Raises DeviceFault, and nothing else.
        """
        found = self._decode_all(rows)
        items = [one for one in found if not isinstance(one, bytes)]
        answers = iter(self._compute_guarded(items))
        return [one if isinstance(one, bytes) else next(answers) for one in found]

    def _decode_all(self, rows: Sequence[Row]) -> list[Item | bytes]:
        """Return the items of rows that can be read, and replies to the others.

        Pictures are decoded side by side, by as many threads as compute.
        """
        workers = min(threads(), len(rows))
        if workers < 2:
            return [self._decode_guarded(row) for row in rows]
        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(self._decode_guarded, rows))

    def _decode_guarded(self, row: Row) -> Item | bytes:
        try:
            return self.decode(read_request(row))
        except WireError as error:
            return write_error(INVALID_REQUEST, str(error))
        except Exception as error:
            return _refuse(error)

    def _compute_guarded(self, items: Sequence[Item]) -> list[bytes]:
        if not items:
            return []
        try:
            return self._compute_packed(items)
        except Exception as error:
            if is_device_fault(error):
                raise DeviceFault(f"the device failed: {error}") from error
            out_of_memory = is_out_of_memory(error)
            anew = self.restart(items[0]) if len(items) == 1 and not out_of_memory else None
            if len(items) == 1 and anew is None:
                return [_refuse(error)]
            logger.warning("batch of %d failed and is split: %r", len(items), error)
        # Outside the handler above: the exception held the failed batch's tensors alive.
        if anew is not None:
            return self._compute_guarded([anew])
        if not out_of_memory:
            return [reply for item in items for reply in self._compute_guarded([item])]
        release_memory()
        half = len(items) // 2
        return self._compute_guarded(items[:half]) + self._compute_guarded(items[half:])

    def _compute_packed(self, items: Sequence[Item]) -> list[bytes]:
        answers = self.compute(items)
        if len(answers) != len(items):
            raise RuntimeError(f"{len(answers)} answers came for {len(items)} rows")
        return [write_reply(outputs, state) for outputs, state in answers]


def _refuse(error: Exception) -> bytes:
    if isinstance(error, InputError):
        return write_error(error.type, error.detail)
    logger.error("a row failed", exc_info=error)
    if is_out_of_memory(error):
        return write_error(INTERNAL, "the device's memory does not hold this input")
    return write_error(INTERNAL, f"the model failed on this input ({type(error).__name__})")
