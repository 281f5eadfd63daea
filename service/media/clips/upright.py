"""A decoded frame into an upright RGB picture of bounded size (in the child)."""

import math
import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from av.filter import Graph

from service.media.clips.contents import Picture

FIXED_ONE = 65_536
NO_TURN = (1.0, 0.0, 0.0, 1.0)
# Transfer and primaries by ITU-T H.273.
PQ, HLG, BT2020 = 16, 18, 9
# Codes into light, 1 being 1000 cd/m2 (SMPTE ST 2084; ITU-R BT.2100 on a display of 1000 cd/m2).
LIGHT = {
    PQ: "st(0,pow(val/maxval,32/2523));"
    "10*pow(max(ld(0)-0.8359375,0)/(18.8515625-18.6875*ld(0)),8192/1305)",
    HLG: "st(0,val/maxval);pow(if(lte(ld(0),0.5),ld(0)*ld(0)/3,"
    "(exp((ld(0)-0.55991073)/0.17883277)+0.28466892)/12),1.2)",
}
# Such light into codes of sRGB: white is 203 cd/m2 (ITU-R BT.2408), from 0.7 of it on rolled off.
ORDINARY = (
    "st(0,val/maxval*1000/203);"
    "st(1,if(lte(ld(0),0.7),ld(0),0.7+0.3*(1-exp((0.7-ld(0))/0.3))));"
    "if(lte(ld(1),0.0031308),12.92*ld(1),1.055*pow(ld(1),1/2.4)-0.055)"
)
# Light of BT.2020's primaries into that of BT.709's (ITU-R BT.2087).
TO_BT709 = "1.6605:-0.5876:-0.0728:0:-0.1246:1.1329:-0.0083:0:-0.0182:-0.1006:1.1187:0"


@dataclass(frozen=True)
class Turn:
    """A display matrix `(a, b, c, d)`: stored `(p, q)` is shown at `(a p + c q, b p + d q)`."""

    a: float
    b: float
    c: float
    d: float

    @classmethod
    def of(cls, frame: Any) -> "Turn":
        """Return the turn that a frame or its container asks for, by quarters."""
        data = frame.side_data.get("DISPLAYMATRIX")
        if data is None:
            return cls(*NO_TURN)
        a, b, _, c, d = struct.unpack("=9i", bytes(data))[:5]
        return cls(a / FIXED_ONE, b / FIXED_ONE, c / FIXED_ONE, d / FIXED_ONE)

    @property
    def swaps_sides(self) -> bool:
        """Tell whether width becomes height."""
        return abs(self.b) > abs(self.a)

    @property
    def degrees(self) -> int:
        """The turn clockwise, after mirroring sideways if it does: 0, 90, 180 or 270."""
        side = 1 if self.a * self.d >= self.b * self.c else -1
        return round(math.degrees(math.atan2(side * self.b, side * self.a)) / 90) % 4 * 90

    def filters(self) -> list[str]:
        """Return FFmpeg's filters that turn and mirror so; `cclock_flip` transposes plainly."""
        x, y = (self.c, self.b) if self.swaps_sides else (self.a, self.d)
        names = ["transpose"] if self.swaps_sides else []
        return names + ["hflip"] * (x < 0) + ["vflip"] * (y < 0)


class Upright:
    """Brings frames to what is shown of them: upright, with square pixels, of ordinary range.

    `aspect` is a pixel's width by its height. Pictures are shrunk until no side exceeds `max_side`.
    """

    def __init__(self, max_side: int, aspect: Fraction) -> None:
        self._max_side, self._aspect = max_side, aspect
        self._made_for: tuple[object, ...] | None = None
        self._graph: Graph | None = None
        self.notes: dict[str, None] = {}
        if aspect != 1:
            self.notes[f"its pixels are {aspect} as wide as high: pictures are made so wide"] = None

    def size(self, frame: Any) -> tuple[int, int]:
        """Return width and height of a frame with square pixels, before it is turned."""
        return max(1, round(frame.width * self._aspect)), frame.height

    def convert(self, frame: Any) -> Picture:
        """Make the picture of a decoded video frame."""
        turn = Turn.of(frame)
        # All that a graph depends on: joined files change any of it between two frames.
        kind = (frame.width, frame.height, frame.format.name, frame.color_trc)
        key = (*kind, frame.interlaced_frame, turn)
        if self._graph is None or key != self._made_for:
            self._graph, self._made_for = self._make_graph(frame, turn), key
        self._graph.vpush(frame)
        shown = self._graph.vpull()
        scale = max(shown.width, shown.height) / max(self.size(frame))
        return Picture(shown.width, shown.height, _pixels(shown), scale)

    def _make_graph(self, frame: Any, turn: Turn) -> Graph:
        shown = self.size(frame)
        factor = min(1.0, self._max_side / max(shown))
        width, height = (max(1, round(side * factor)) for side in shown)
        graph = Graph()
        graph.threads = 1
        nodes = [
            graph.add_buffer(
                width=frame.width,
                height=frame.height,
                format=frame.format,
                time_base=frame.time_base,
            ),
            *(graph.add(name, options) for name, options in self._repairs(frame)),
            graph.add("scale", f"{width}:{height}:flags=area+full_chroma_int"),
            *(graph.add(name, options) for name, options in self._range(frame)),
            graph.add("format", "pix_fmts=rgb24"),
            *(graph.add(name, "0" if name == "transpose" else None) for name in turn.filters()),
            graph.add("buffersink"),
        ]
        graph.link_nodes(*nodes).configure()
        return graph

    def _repairs(self, frame: Any) -> list[tuple[str, str]]:
        if not frame.interlaced_frame:
            return []
        self.notes["it is interlaced: every picture is made of one of its halves"] = None
        # Filters that join both need the next frame, while each picture is made by itself here.
        return [("field", "top")]

    def _range(self, frame: Any) -> list[tuple[str, str]]:
        light = LIGHT.get(frame.color_trc)
        if light is None:
            return []
        name = "PQ" if frame.color_trc == PQ else "HLG"
        note = f"high dynamic range ({name}) is brought to that of ordinary pictures"
        self.notes[note] = None
        mixer = [("colorchannelmixer", TO_BT709)] if frame.color_primaries == BT2020 else []
        return [
            ("format", "pix_fmts=rgb48le"),
            ("lutrgb", _each(_clipped(light))),
            *mixer,
            ("lutrgb", _each(_clipped(ORDINARY))),
        ]


def _clipped(expression: str) -> str:
    """Return an expression of several steps, the last one's value in [0, 1] as a code."""
    *steps, value = expression.split(";")
    return ";".join([*steps, f"maxval*clip({value},0,1)"])


def _each(expression: str) -> str:
    return ":".join(f"{channel}={expression}" for channel in "rgb")


def _pixels(frame: Any) -> bytes:
    """Return the rows of an rgb24 frame without the gaps between them."""
    plane = frame.planes[0]
    stride, row = plane.line_size, frame.width * 3
    data = memoryview(plane)
    if stride == row:
        return bytes(data[: row * frame.height])
    return b"".join(data[at : at + row] for at in range(0, stride * frame.height, stride))
