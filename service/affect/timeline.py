"""Estimates over time into a picture: valence and arousal, gate and attention beneath, as SVG.

It stands alone: one valid XML file without scripts, readable on light and on dark ground.
"""

import base64
import io
import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from PIL import Image

from service.affect.replies import AffectMoment
from service.clips.replies import FrameAnswer

MOST_POINTS = 800  # of a line: more than its pixels show nothing
COLUMNS = 220  # of the attention's picture, at most
STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600)
WIDTH, LEFT, RIGHT = 960, 64, 24
PLOT = WIDTH - LEFT - RIGHT
LEVELS = 12  # of shading, so that cells of one level are one path
MOST_WEIGHT = 2.5  # times an even share: drawn in full
FACE_SIDE = 56  # pixels
STYLE = """
text{font:12px system-ui,sans-serif;fill:#57606a}
.title{font-size:15px;font-weight:600;fill:#1f2328}
.paper{fill:#fff}.grid{stroke:#d8dee4;stroke-width:1;fill:none}
.line{fill:none;stroke-width:1.8;stroke-linejoin:round;stroke-linecap:round}
.valence{stroke:#0b7a5b}.arousal{stroke:#c2410c}.gate{stroke:#4f46e5}
.cells{fill:#4f46e5;shape-rendering:crispEdges}
@media (prefers-color-scheme:dark){
text{fill:#9aa4af}.title{fill:#eef1f4}
.paper{fill:#14181d}.grid{stroke:#2d333b}
.valence{stroke:#3ddc97}.arousal{stroke:#ff9b5e}.gate{stroke:#a5b4fc}
.cells{fill:#a5b4fc}
}
"""
MOST = 10
FIRST_INTERVAL_S = 0.5
MARGIN = 0.15  # of the box, on every side


@dataclass(frozen=True)
class StripFace:
    """A small picture at a time: a data URL."""

    time_s: float
    url: str


@dataclass
class Timeline:
    """The drawn values, one a frame; NaN where there is none. Attention is newest first."""

    times_s: "array[float]" = field(default_factory=lambda: array("d"))
    valence: "array[float]" = field(default_factory=lambda: array("f"))
    arousal: "array[float]" = field(default_factory=lambda: array("f"))
    gate: "array[float]" = field(default_factory=lambda: array("f"))
    attention: list["array[float]"] = field(default_factory=list)
    oldest_s: float = 0.0

    def add(
        self,
        time_s: float,
        valence: float | None,
        arousal: float | None,
        gate: float | None,
        attention: Sequence[tuple[float, float]],
    ) -> None:
        """Take one frame; attention is pairs of age in seconds and weight, oldest first."""
        self.times_s.append(time_s)
        for values, value in (
            (self.valence, valence),
            (self.arousal, arousal),
            (self.gate, gate),
        ):
            values.append(math.nan if value is None else value)
        self.attention.append(array("f", [weight for _, weight in reversed(attention)]))
        self.oldest_s = max([self.oldest_s, *(age_s for age_s, _ in attention)])


def thin(times_s: Sequence[float], values: Sequence[float]) -> Iterator[tuple[float, float | None]]:
    """Yield some hundred points at most: means of neighbours, None where none has a value."""
    count = len(times_s)
    size = max(1, math.ceil(count / MOST_POINTS))
    for begin in range(0, count, size):
        group = [value for value in values[begin : begin + size] if not math.isnan(value)]
        middle_s = times_s[min(begin + size // 2, count - 1)]
        yield middle_s, math.fsum(group) / len(group) if group else None


def ticks(begin_s: float, end_s: float) -> list[float]:
    """Return round times between two, about ten of them at most."""
    step_s = next((step for step in STEPS_S if (end_s - begin_s) / step <= 12), STEPS_S[-1])
    # An end that is a whole step counts in spite of rounding.
    first, last = math.ceil(begin_s / step_s - 1e-9), math.floor(end_s / step_s + 1e-9)
    return [round(number * step_s, 6) for number in range(first, last + 1)]


def columns(
    timeline: Timeline, rows: int, end_s: float
) -> Iterator[tuple[float, float, list[float]]]:
    """Yield begin, end and weights of neighbouring moments; 1 is a state's even share."""
    count = len(timeline.times_s)
    size = max(1, math.ceil(count / COLUMNS))
    for begin in range(0, count, size):
        group = timeline.attention[begin : begin + size]
        sums = [
            math.fsum(one[row] * len(one) for one in group if row < len(one)) for row in range(rows)
        ]
        after = begin + size
        until_s = timeline.times_s[after] if after < count else end_s
        yield timeline.times_s[begin], until_s, [total / len(group) for total in sums]


def extent(timeline: Timeline) -> tuple[float, float]:
    """Return begin and end in seconds, a tenth apart at least; the last moment lasts a frame."""
    times_s = timeline.times_s
    if not times_s:
        return 0.0, 1.0
    last_s = times_s[-1] - times_s[-2] if len(times_s) > 1 else 0.0
    return times_s[0], max(times_s[-1] + last_s, times_s[0] + 0.1)


def draw_timeline(timeline: Timeline, faces: Sequence[StripFace], title: str) -> str:
    """Return the SVG of a timeline; `faces` in the order of their times."""
    begin_s, end_s = extent(timeline)
    drawing = _Drawing(begin_s, end_s)
    if faces:
        drawing.faces(faces)
    drawing.panel("valence and arousal", 170, -1, 1, (-1, -0.5, 0, 0.5, 1))
    drawing.line("valence", timeline.times_s, timeline.valence)
    drawing.line("arousal", timeline.times_s, timeline.arousal)
    drawing.legend(("valence", "arousal"))
    if any(not math.isnan(value) for value in timeline.gate):
        drawing.panel("share of the face where a voice was used too", 70, 0, 1, (0, 0.5, 1))
        drawing.line("gate", timeline.times_s, timeline.gate)
    if any(timeline.attention):
        past = f"attention over past states, the newest above, up to {timeline.oldest_s:.2g} s old"
        drawing.panel(past, 64, 0, 1, ())
        drawing.cells(timeline)
    return drawing.finish(title)


class _Drawing:
    """Panels one under the other, over one axis of time."""

    def __init__(self, begin_s: float, end_s: float) -> None:
        self._begin_s, self._end_s = begin_s, end_s
        self._parts: list[str] = []
        self._bottom = 44.0
        self._height, self._low, self._high = 0.0, 0.0, 1.0

    def faces(self, faces: Sequence[StripFace]) -> None:
        """Draw a row of faces at their times; those that would overlap are left out."""
        free = float("-inf")
        for face in faces:
            x = min(max(self._x(face.time_s) - FACE_SIDE / 2, LEFT), WIDTH - RIGHT - FACE_SIDE)
            if x < free:
                continue
            free = x + FACE_SIDE + 4
            self._parts.append(
                f'<image x="{x:.1f}" y="{self._bottom}" width="{FACE_SIDE}" height="{FACE_SIDE}" '
                f'href="{escape(face.url)}"><title>{face.time_s:.2f} s</title></image>'
            )
        self._bottom += FACE_SIDE + 4

    def panel(
        self, name: str, height: float, low: float, high: float, lines: Sequence[float]
    ) -> None:
        """Begin a panel beneath what there is, with lines across at some values."""
        self._parts.append(f'<text x="{LEFT}" y="{self._bottom + 16:.1f}">{escape(name)}</text>')
        self._bottom += 26 + height
        self._height, self._low, self._high = height, low, high
        for value in lines:
            y = self._y(value)
            self._parts.append(
                f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
                f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>'
            )

    def line(self, kind: str, times_s: Sequence[float], values: Sequence[float]) -> None:
        """Draw a line through values, broken where there are none."""
        path, broken = [], True
        for time_s, value in thin(times_s, values):
            if value is not None:
                move = "M" if broken else "L"
                path.append(f"{move}{self._x(time_s):.1f} {self._y(value):.1f}")
                if broken:
                    path.append("h0.1")  # a lone value shows as a dot
            broken = value is None
        self._parts.append(f'<path class="line {kind}" d="{"".join(path)}"/>')

    def legend(self, kinds: Sequence[str]) -> None:
        """Write names beside a piece of their lines, above the panel."""
        y = self._bottom - self._height - 10
        for number, kind in enumerate(reversed(kinds)):
            x = WIDTH - RIGHT - 80 * (number + 1)
            self._parts.append(
                f'<path class="line {kind}" d="M{x} {y - 4:.1f}h18"/>'
                f'<text x="{x + 24}" y="{y:.1f}">{kind}</text>'
            )

    def cells(self, timeline: Timeline) -> None:
        """Draw a column a moment, a row a past state; the stronger, the more weight."""
        rows = max(len(weights) for weights in timeline.attention)
        high = self._height / rows
        levels: dict[int, list[str]] = {}
        for begin_s, end_s, weights in columns(timeline, rows, self._end_s):
            x, wide = self._x(begin_s), self._x(end_s) - self._x(begin_s)
            for row, weight in enumerate(weights):
                if level := round(min(weight / MOST_WEIGHT, 1.0) * LEVELS):
                    y = self._bottom - self._height + row * high
                    cell = f"M{x:.1f} {y:.1f}h{wide:.1f}v{high:.1f}h{-wide:.1f}z"
                    levels.setdefault(level, []).append(cell)
        for level, cells in sorted(levels.items()):
            opacity = f'fill-opacity="{level / LEVELS:.3g}"'
            self._parts.append(f'<path class="cells" {opacity} d="{"".join(cells)}"/>')

    def finish(self, title: str) -> str:
        """Add the axis of time, and return the whole."""
        self._bottom += 8
        for time_s in ticks(self._begin_s, self._end_s):
            x = self._x(time_s)
            self._parts.append(
                f'<path class="grid" d="M{x:.1f} {self._bottom - 4:.1f}v6"/>'
                f'<text x="{x:.1f}" y="{self._bottom + 16:.1f}" text-anchor="middle">'
                f"{_clock(time_s)}</text>"
            )
        height = math.ceil(self._bottom + 28)
        return "\n".join(
            (
                '<?xml version="1.0" encoding="UTF-8"?>',
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
                f'width="{WIDTH}" height="{height}" role="img" aria-labelledby="title">',
                f'<title id="title">{escape(title)}</title>',
                f"<style>{STYLE}</style>",
                f'<rect class="paper" width="{WIDTH}" height="{height}"/>',
                f'<text class="title" x="{LEFT}" y="28">{escape(title)}</text>',
                *self._parts,
                "</svg>\n",
            )
        )

    def _x(self, time_s: float) -> float:
        return LEFT + PLOT * (time_s - self._begin_s) / (self._end_s - self._begin_s)

    def _y(self, value: float) -> float:
        share = (value - self._low) / (self._high - self._low)
        return self._bottom - self._height * min(max(share, 0.0), 1.0)


def _clock(time_s: float) -> str:
    """Write a time as seconds, or as minutes and seconds from one minute on."""
    if time_s < 60:
        return f"{time_s:g} s"
    return f"{int(time_s) // 60}:{int(time_s) % 60:02d}"


class FaceStrip:
    """Keeps a face an interval; when there are too many, every other one goes."""

    def __init__(self) -> None:
        self.faces: list[StripFace] = []
        self._interval_s = FIRST_INTERVAL_S
        self._next_s = float("-inf")

    def add(self, answer: FrameAnswer[AffectMoment]) -> None:
        """Look at one moment; its face is kept where one is due."""
        if answer.frame.time_s < self._next_s or "face" not in answer.frame.used:
            return
        if (picture := _cut_out(answer)) is None:
            return
        self.faces.append(StripFace(answer.frame.time_s, picture))
        if len(self.faces) > MOST:
            self.faces = self.faces[::2]
            self._interval_s *= 2
        self._next_s = self.faces[-1].time_s + self._interval_s


def _cut_out(answer: FrameAnswer[AffectMoment]) -> str | None:
    """Return the face as a small JPEG's data URL."""
    picture, face = answer.picture, answer.frame.face
    if picture is None or face is None:
        return None
    x1, y1, x2, y2 = ((at + 0.5) * picture.scale - 0.5 for at in face.box)
    most = max(picture.width, picture.height)
    half = min(max(x2 - x1, y2 - y1) * (0.5 + MARGIN), most)
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    whole = Image.frombuffer("RGB", (picture.width, picture.height), picture.rgb)
    box = (round(x - half), round(y - half), round(x + half), round(y + half))
    if box[2] <= box[0]:
        return None
    small = whole.crop(box).resize((FACE_SIDE, FACE_SIDE), Image.Resampling.BILINEAR)
    data = io.BytesIO()
    small.save(data, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(data.getvalue()).decode()
