"""Sound of floating point made finite: what is no number is silent, and counted (in the child)."""

import math
from array import array
from collections.abc import Iterator
from typing import Any

# The formats whose samples may be no numbers, in one plane or in one a channel.
INTERLEAVED, PLANAR = {"flt": "f", "dbl": "d"}, {"fltp": "f", "dblp": "d"}
KINDS = INTERLEAVED | PLANAR


class Finite:
    """Passes frames on; `samples` counts those that were no finite numbers."""

    def __init__(self) -> None:
        self.samples = 0

    def run(self, frames: Iterator[Any]) -> Iterator[Any]:
        """Pass on each frame, mended where it needs it."""
        for frame in frames:
            kind = KINDS.get(frame.format.name)
            if kind is not None:
                channels = frame.layout.nb_channels if frame.format.name in INTERLEAVED else 1
                for plane in frame.planes:
                    self._mend(plane, kind, frame.samples * channels)
            yield frame

    def _mend(self, plane: Any, kind: str, count: int) -> None:
        data = bytes(plane)
        values = array(kind)
        length = count * values.itemsize
        values.frombytes(data[:length])
        if math.isfinite(sum(values)):  # fast, and wrong only where values are beyond all sound
            return
        finite = array(kind, [value if math.isfinite(value) else 0.0 for value in values])
        self.samples += sum(not math.isfinite(value) for value in values)
        plane.update(finite.tobytes() + data[length:])
