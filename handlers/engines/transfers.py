"""Arrays to a device and tensors back from it, in one piece each way.

A transfer costs a GPU about as much as a small network does, whatever it carries. So all inputs of
a call travel in one buffer of bytes, and all its answers in another.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from handlers.engines.base import Array


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
    """Slots for arrays of these types and shapes, in their order.

    Wider types lie before narrower ones, so that each array begins at a multiple of its items.
    """
    slots: dict[int, Slot] = {}
    begin = 0
    for index in sorted(range(len(kinds)), key=lambda i: -kinds[i][0].itemsize):
        slots[index] = Slot(begin, *kinds[index])
        begin = slots[index].end
    return [slots[index] for index in range(len(kinds))]


def size_of(slots: Sequence[Slot]) -> int:
    """The bytes of a buffer with these slots."""
    return max((slot.end for slot in slots), default=0)


def pack(arrays: Sequence[Array], rows: int, pinned: bool) -> tuple[Tensor, list[Slot]]:
    """Arrays of as many rows each -> a buffer on the CPU, padded to `rows` by zeros, and its slots.

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
    """The tensors of a buffer, without a copy."""
    return [_read(buffer, slot) for slot in slots]


def join(tensors: Sequence[Tensor]) -> tuple[Tensor, list[Slot]]:
    """Tensors of a device -> one buffer there, and its slots."""
    slots = lay_out([(one.dtype, tuple(one.shape)) for one in tensors])
    order = sorted(range(len(tensors)), key=lambda index: slots[index].begin)
    return torch.cat([_bytes(tensors[index]) for index in order]), slots


def _read(buffer: Tensor, slot: Slot) -> Tensor:
    return buffer[slot.begin : slot.end].view(slot.dtype).view(slot.shape)


def _bytes(tensor: Tensor) -> Tensor:
    return tensor.contiguous().flatten().view(torch.uint8)


def _torch_type(array: Array) -> torch.dtype:
    return torch.from_numpy(np.empty(0, array.dtype)).dtype
