"""A decoded frame into an upright RGB picture of bounded size (in the child)."""

import math
import struct
from dataclasses import dataclass
from typing import Any

from av.filter import Graph

from service.media.clips.contents import Picture

FIXED_ONE = 65_536
NO_TURN = (1.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True)
class Turn:
    """A display matrix `(a, b, c, d)`: stored `(p, q)` is shown at `(a p + c q, b p + d q)`."""

    a: float
    b: float
    c: float
    d: float

    @classmethod
    def of(cls, frame: Any) -> "Turn":
        """The turn that a frame or its container asks for, by quarters."""
        data = frame.side_data.get("DISPLAYMATRIX")
        if data is None:
            return cls(*NO_TURN)
        a, b, _, c, d = struct.unpack("=9i", bytes(data))[:5]
        return cls(a / FIXED_ONE, b / FIXED_ONE, c / FIXED_ONE, d / FIXED_ONE)

    @property
    def swaps_sides(self) -> bool:
        """Whether width becomes height."""
        return abs(self.b) > abs(self.a)

    @property
    def degrees(self) -> int:
        """The turn clockwise, after mirroring sideways if it does: 0, 90, 180 or 270."""
        side = 1 if self.a * self.d >= self.b * self.c else -1
        return round(math.degrees(math.atan2(side * self.b, side * self.a)) / 90) % 4 * 90

    def filters(self) -> list[str]:
        """FFmpeg's filters that turn and mirror so; `cclock_flip` is a plain transposition."""
        x, y = (self.c, self.b) if self.swaps_sides else (self.a, self.d)
        names = ["transpose"] if self.swaps_sides else []
        return names + ["hflip"] * (x < 0) + ["vflip"] * (y < 0)


class Upright:
    """Turns frames upright and shrinks them until no side exceeds `max_side` pixels."""

    def __init__(self, max_side: int) -> None:
        self._max_side = max_side
        self._made_for: tuple[int, int, str, Turn] | None = None
        self._graph: Graph | None = None

    def convert(self, frame: Any) -> Picture:
        """Make the picture of a decoded video frame."""
        turn = Turn.of(frame)
        key = (frame.width, frame.height, frame.format.name, turn)
        if self._graph is None or key != self._made_for:
            self._graph, self._made_for = self._make_graph(frame, turn), key
        self._graph.vpush(frame)
        shown = self._graph.vpull()
        scale = max(shown.width, shown.height) / max(frame.width, frame.height)
        return Picture(shown.width, shown.height, _pixels(shown), scale)

    def _make_graph(self, frame: Any, turn: Turn) -> Graph:
        factor = min(1.0, self._max_side / max(frame.width, frame.height))
        width, height = (max(1, round(side * factor)) for side in (frame.width, frame.height))
        graph = Graph()
        graph.threads = 1
        nodes = [
            graph.add_buffer(
                width=frame.width,
                height=frame.height,
                format=frame.format,
                time_base=frame.time_base,
            ),
            graph.add("scale", f"{width}:{height}:flags=area+full_chroma_int"),
            graph.add("format", "pix_fmts=rgb24"),
            *(graph.add(name, "0" if name == "transpose" else None) for name in turn.filters()),
            graph.add("buffersink"),
        ]
        graph.link_nodes(*nodes).configure()
        return graph


def _pixels(frame: Any) -> bytes:
    """The rows of an rgb24 frame without the gaps between them."""
    plane = frame.planes[0]
    stride, row = plane.line_size, frame.width * 3
    data = memoryview(plane)
    if stride == row:
        return bytes(data[: row * frame.height])
    return b"".join(data[at : at + row] for at in range(0, stride * frame.height, stride))
