"""Parts of networks as CUDA graphs: all kernels of a call in one launch."""

import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from handlers.engines.transfers import Slot

Compute = Callable[[str, Tensor, Sequence[Slot]], tuple[Tensor, list[Slot]]]

# Before it is captured a part is computed so often, for its libraries to choose their kernels.
WARM_UPS = 3


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
        """`compute` takes a packed call on the device to its packed answers there."""
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
            captured.given.copy_(buffer, non_blocking=True)
            captured.graph.replay()
            return captured.answered.cpu(), captured.places

    def _capture(self, part: str, given: Tensor, slots: Sequence[Slot]) -> _Captured:
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
