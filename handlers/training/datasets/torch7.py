"""One tensor in a Torch7 `.t7` file to an array: numbers only, nothing is executed.

Binary Torch7 serialisation (torch7's File and Tensor documentation), little-endian: an
object is a type number, an index, the version `V 1`, a class name, then its content. A
tensor's content is its number of dimensions, sizes, strides and offset in elements
(counted from 1), then its storage, an object of its own: a length and the raw elements.
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TORCH_OBJECT = 4
ELEMENTS: dict[str, np.dtype[Any]] = {
    f"torch.{name}{container}": np.dtype(code)
    for name, code in (("Float", "<f4"), ("Double", "<f8"))
    for container in ("Tensor", "Storage")
}
MOST_DIMENSIONS = 8


def read_t7(path: Path) -> NDArray[np.floating[Any]]:
    """The float or double tensor that a `.t7` file holds.

    Raises:
        ValueError: the file holds anything else, or is cut short.
    """
    reader = _Reader(path, path.read_bytes())
    try:
        return _tensor(reader)
    except struct.error as error:
        raise ValueError(f"{path}: ends inside its tensor") from error


@dataclass
class _Reader:
    path: Path
    data: bytes
    at: int = 0

    def numbers(self, kind: str, count: int) -> tuple[int, ...]:
        layout = f"<{count}{kind}"
        values: tuple[int, ...] = struct.unpack_from(layout, self.data, self.at)
        self.at += struct.calcsize(layout)
        return values

    def text(self) -> str:
        (length,) = self.numbers("i", 1)
        found = self.data[self.at : self.at + max(length, 0)]
        self.at += len(found)
        return found.decode("ascii", errors="replace")

    def element_of(self, container: str) -> np.dtype[Any]:
        """Enter an object and say which numbers its class holds."""
        kind, _ = self.numbers("i", 2)
        name = ""
        if kind == TORCH_OBJECT and self.text() == "V 1":
            name = self.text()
        element = ELEMENTS.get(name)
        if element is None or not name.endswith(container):
            raise ValueError(f"{self.path}: expected a float or double {container}, found {name!r}")
        return element


def _tensor(reader: _Reader) -> NDArray[np.floating[Any]]:
    reader.element_of("Tensor")
    (dimensions,) = reader.numbers("i", 1)
    if not 0 < dimensions <= MOST_DIMENSIONS:
        raise ValueError(f"{reader.path}: a tensor of {dimensions} dimensions")
    sizes = reader.numbers("q", dimensions)
    strides = reader.numbers("q", dimensions)
    (offset,) = reader.numbers("q", 1)
    element = reader.element_of("Storage")
    (length,) = reader.numbers("q", 1)
    last = (
        offset - 1 + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
    )
    if min((*sizes, *strides, offset)) < 1 or last >= length:
        raise ValueError(f"{reader.path}: the tensor reaches outside its storage")
    raw = reader.data[reader.at : reader.at + length * element.itemsize]
    if len(raw) < length * element.itemsize:
        raise ValueError(f"{reader.path}: ends inside its tensor")
    steps = [stride * element.itemsize for stride in strides]
    return np.ndarray(sizes, element, raw, (offset - 1) * element.itemsize, steps).copy()
