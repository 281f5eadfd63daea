"""The engine that predictors ask to compute their networks: named arrays in, named arrays out."""

import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

CUDA_OUT_OF_MEMORY = 2  # cudaErrorMemoryAllocation
Array = NDArray[Any]
# An output with this prefix is what the input of the name becomes: memory after a step.
NEXT = "next_"
# One with this prefix is what the output of the name is for the mirror image of a row.
MIRRORED = "mirrored_"
# Batches are padded to a power of two, and beyond this to its multiples: a GPU plans for each size
# that it meets, which takes it longer than the rows too many.
LARGEST_POWER = 64


def is_out_of_memory(error: Exception) -> bool:
    """Tell whether the device's memory was too small; a smaller batch may go through."""
    torch = _torch()
    if torch is None:
        return False
    if isinstance(error, torch.AcceleratorError):
        return getattr(error, "error_code", None) == CUDA_OUT_OF_MEMORY
    return isinstance(error, torch.OutOfMemoryError)


def is_device_fault(error: Exception) -> bool:
    """Tell whether the device is broken for this process: no later call can succeed."""
    torch = _torch()
    broken = torch is not None and isinstance(error, torch.AcceleratorError)
    return broken and not is_out_of_memory(error)


def release_memory() -> None:
    """Give back what the device's memory holds for later."""
    if (torch := _torch()) is not None:
        torch.cuda.empty_cache()


def _torch() -> Any:
    # Where torch was never imported, no error is one of its: importing it takes seconds.
    return sys.modules.get("torch")


@dataclass(frozen=True)
class Input:
    """One argument of a part: its shape behind the axis of rows, None where any length fits."""

    shape: tuple[int | None, ...]
    dtype: str = "float32"


class Engine(Protocol):
    """The networks of one model, cut into parts that are functions of named arrays.

    The first axis of every array counts rows, and rows do not depend on each other. Nothing is held
    between calls; several threads may call at once.
    """

    @property
    def name(self) -> str:
        """Return the engine's name, for people."""

    @property
    def parts(self) -> Collection[str]:
        """Return what can be run."""

    @property
    def is_parallel(self) -> bool:
        """Return whether two calls at once take less time than one with the rows of both."""

    def inputs(self, part: str) -> Mapping[str, Input]:
        """Return what a part takes, by name."""

    def run(self, part: str, **inputs: Array) -> dict[str, Array]:
        """Compute a part; raises KeyError for a part or an input that there is not."""

    def prepare(self) -> None:
        """Load now what would be loaded at the first call of each part."""


def zeros(engine: Engine, part: str, rows: int, *left_out: str) -> dict[str, Array]:
    """Return zeros for a part's inputs but those `left_out`: the memory at a sequence's start."""
    return {
        name: np.zeros((rows, *(size or 0 for size in one.shape)), one.dtype)
        for name, one in engine.inputs(part).items()
        if name not in left_out
    }


def carried(answers: Mapping[str, Array]) -> dict[str, Array]:
    """Return the memory among a step's answers, under the names of the next step's inputs."""
    return {name.removeprefix(NEXT): one for name, one in answers.items() if name.startswith(NEXT)}


def padded(rows: int) -> int:
    """Return the number of rows that a GPU computes for a batch of `rows`."""
    if rows > LARGEST_POWER:
        return -(-rows // LARGEST_POWER) * LARGEST_POWER
    return 1 << max(rows - 1, 0).bit_length()
