"""Arrays to a device and tensors back in one piece each way; parts captured as CUDA graphs.

A transfer costs a GPU about as much as a small network does, whatever it carries. So all inputs of
a call travel in one buffer of bytes, and all its answers in another.
"""

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from handlers.engines.base import Array

# Before it is captured a part is computed so often, for its libraries to choose their kernels.
WARM_UPS = 3


@dataclass(frozen=True)
class Slot:
    """The place of one array in a buffer: its first byte, its type and its shape."""

    begin: int
    dtype: torch.dtype
    shape: tuple[int, ...]

    @property
    def end(self) -> int:
        return self.begin + math.prod(self.shape) * self.dtype.itemsize


def lay_out(kinds: Sequence[tuple[torch.dtype, tuple[int, ...]]]) -> list[Slot]:
    """Return slots for arrays of these types and shapes, in their order.

    Wider types lie before narrower ones, so that each array begins at a multiple of its items.
    """
    slots: dict[int, Slot] = {}
    begin = 0
    for index in sorted(range(len(kinds)), key=lambda i: -kinds[i][0].itemsize):
        slots[index] = Slot(begin, *kinds[index])
        begin = slots[index].end
    return [slots[index] for index in range(len(kinds))]


def size_of(slots: Sequence[Slot]) -> int:
    """Return the bytes of a buffer with these slots."""
    return max((slot.end for slot in slots), default=0)


def pack(arrays: Sequence[Array], rows: int, pinned: bool) -> tuple[Tensor, list[Slot]]:
    """Pack arrays of as many rows each into a buffer on the CPU, padded by zeros; return its slots.

    `pinned` memory is read by a GPU itself.
    """
    slots = lay_out([(_torch_type(one), (rows, *one.shape[1:])) for one in arrays])
    buffer = torch.empty(size_of(slots), dtype=torch.uint8, pin_memory=pinned)
    for one, slot in zip(arrays, slots, strict=True):
        place = _read(buffer, slot).numpy()
        place[: len(one)] = one
        place[len(one) :] = 0
    return buffer, slots


def unpack(buffer: Tensor, slots: Sequence[Slot]) -> list[Tensor]:
    """Return the tensors of a buffer, without a copy."""
    return [_read(buffer, slot) for slot in slots]


def join(tensors: Sequence[Tensor]) -> tuple[Tensor, list[Slot]]:
    """Join tensors of a device in one buffer there; return it and its slots."""
    slots = lay_out([(one.dtype, tuple(one.shape)) for one in tensors])
    order = sorted(range(len(tensors)), key=lambda index: slots[index].begin)
    return torch.cat([_bytes(tensors[index]) for index in order]), slots


def _read(buffer: Tensor, slot: Slot) -> Tensor:
    return buffer[slot.begin : slot.end].view(slot.dtype).view(slot.shape)


def _bytes(tensor: Tensor) -> Tensor:
    return tensor.contiguous().flatten().view(torch.uint8)


def _torch_type(array: Array) -> torch.dtype:
    return torch.from_numpy(np.empty(0, array.dtype)).dtype


Compute = Callable[[str, Tensor, Sequence[Slot]], tuple[Tensor, list[Slot]]]


class _Captured(NamedTuple):
    """A graph, the buffer on the device that it reads, and the one that it writes."""

    graph: torch.cuda.CUDAGraph
    given: Tensor
    answered: Tensor
    places: list[Slot]


class CapturedParts:
    """The graphs of one model, one for each part and number of rows, captured at its first call.

    A graph reads and writes buffers of its own: one call at a time. It stays captured for good, and
    holds the memory of its largest layer; the graphs of a model share it.
    """

    def __init__(self, compute: Compute) -> None:
        """Keep `compute`, which takes a packed call on the device to its packed answers there."""
        self._compute = compute
        self._graphs: dict[tuple[str, int], _Captured] = {}
        self._turn = threading.Lock()
        self._memory: Any = None

    def run(
        self, part: str, rows: int, buffer: Tensor, slots: Sequence[Slot], device: torch.device
    ) -> tuple[Tensor, list[Slot]]:
        """Send a packed call, compute it and fetch its answers."""
        with self._turn:
            if (part, rows) not in self._graphs:
                self._graphs[part, rows] = self._capture(part, buffer.to(device), slots)
            captured = self._graphs[part, rows]
            # The copy and the replay are queued on one stream; `cpu` below waits for both.
            captured.given.copy_(buffer, non_blocking=True)
            captured.graph.replay()
            return captured.answered.cpu(), captured.places

    def _capture(self, part: str, given: Tensor, slots: Sequence[Slot]) -> _Captured:
        # On a stream of its own, as capturing asks for: nothing of the usual one may be pending.
        stream = torch.cuda.Stream(given.device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream(given.device))
        with torch.cuda.stream(stream):
            for _ in range(WARM_UPS):
                self._compute(part, given, slots)
        torch.cuda.current_stream(given.device).wait_stream(stream)
        if self._memory is None:
            self._memory = torch.cuda.graph_pool_handle()
        graph = torch.cuda.CUDAGraph()
        # Other threads of a worker go on with other models meanwhile.
        with torch.cuda.graph(graph, self._memory, capture_error_mode="thread_local"):
            answered, places = self._compute(part, given, slots)
        return _Captured(graph, given, answered, places)
