"""Displacement fields of a face on a coarse grid: what each of its muscles moves, and the mouth."""

from dataclasses import dataclass

import numpy as np

from handlers.processing.arrays import Doubles, Floats
from handlers.processing.landmarks import bounding_box

CELLS = 96  # of the grid on which fields are kept
UPPER_LIP, LOWER_LIP = slice(61, 64), slice(65, 68)

ACTIONS = (
    "brows",
    "frown",
    "smile",
    "pucker",
    "left lid",
    "right lid",
    "jaw",
    "turn",
    "nod",
    "build",
)


@dataclass(frozen=True, eq=False)
class Plane:
    """The grid over a square face picture of `size` pixels; `unit` is the face's width in them."""

    size: int
    unit: float

    @classmethod
    def of(cls, points: Floats, size: int) -> "Plane":
        x1, y1, x2, y2 = bounding_box(points)
        return cls(size, float(np.sqrt((x2 - x1) * (y2 - y1))))

    def places(self) -> Doubles:
        """Return the pixel coordinates `(C,)` of the grid's cells along one axis."""
        return np.asarray((np.arange(CELLS) + 0.5) * (self.size / CELLS) - 0.5)

    def bump(self, centre: Floats, wide: tuple[float, float], move: tuple[float, float]) -> Floats:
        """Return a Gaussian field `(C, C, 2)` that carries what is at `centre` along `move`.

        `wide` and `move` are in units. It tells where content comes from, so it points against
        the move.
        """
        at = self.places()
        along_x, along_y = (
            np.exp(-(((at - float(c)) / (w * self.unit)) ** 2) / 2)
            for c, w in zip(centre, wide, strict=True)
        )
        weight = along_y[:, None, None] * along_x[None, :, None]
        return np.asarray(weight * (-np.array(move) * self.unit), np.float32)


def action_fields(rng: np.random.Generator, points: Floats, size: int) -> Floats:
    """Return displacements `(A, C, C, 2)` in pixels of every one of `ACTIONS` at full strength."""
    plane = Plane.of(points, size)
    bump = plane.bump
    left, right, nose, chin = points[48], points[54], points[30], points[8]
    brow, other = points[17:22].mean(axis=0), points[22:27].mean(axis=0)
    rise = rng.uniform(0.04, 0.09)
    fields = {
        "brows": bump(brow, (0.22, 0.11), (0, -rise)) + bump(other, (0.22, 0.11), (0, -rise)),
        "frown": bump(brow, (0.16, 0.10), (0.03, 0.05)) + bump(other, (0.16, 0.10), (-0.03, 0.05)),
        "smile": bump(left, (0.11, 0.11), (-0.06, -0.05))
        + bump(right, (0.11, 0.11), (0.06, -0.05)),
        "pucker": bump(left, (0.11, 0.13), (0.06, 0)) + bump(right, (0.11, 0.13), (-0.06, 0)),
        "left lid": lid_field(plane, points[36:42]),
        "right lid": lid_field(plane, points[42:48]),
        "jaw": bump(chin, (0.30, 0.22), (0.06, 0)),
        "turn": bump(nose, (0.24, 0.30), (-0.13, 0)),
        "nod": bump(nose, (0.30, 0.24), (0, 0.13)),
        "build": stray_field(rng, plane, points),
    }
    return np.stack([fields[name] for name in ACTIONS])


def lid_field(plane: Plane, eye: Floats) -> Floats:
    """Return the field by which the upper lid of an eye `(6, 2)` comes down by most of the eye's
    height.

    The skin above follows over some distance, the lower lid stays: below its peak the field falls
    off as steeply as the grid allows.
    """
    top, bottom = eye[1:3].mean(axis=0), eye[4:6].mean(axis=0)
    width = max(float(np.linalg.norm(eye[3] - eye[0])), 0.05 * plane.unit)
    height = float(np.clip(bottom[1] - top[1], 0, 0.4 * width))
    at = plane.places()
    down = at - (top[1] + 0.7 * height)
    spread = np.where(down > 0, max(0.15 * height, 1.2 * plane.size / CELLS), 0.4 * width)
    along_y = np.exp(-((down / spread) ** 2) / 2)
    along_x = np.exp(-(((at - top[0]) / (0.5 * width)) ** 2) / 2)
    field = np.zeros((CELLS, CELLS, 2), np.float32)
    field[..., 1] = along_y[:, None] * along_x[None, :] * (-0.75 * height)
    return field


def stray_field(rng: np.random.Generator, plane: Plane, points: Floats) -> Floats:
    """Return five wide bumps at random: another person's proportions."""
    x1, y1, x2, y2 = bounding_box(points)
    total = np.zeros((CELLS, CELLS, 2), np.float32)
    for _ in range(5):
        centre = rng.uniform((x1, y1), (x2, y2)).astype(np.float32)
        dx, dy = rng.normal(0, 0.03, 2)
        total += plane.bump(centre, (0.25, 0.25), (float(dx), float(dy)))
    return total


@dataclass(frozen=True, eq=False)
class Mouth:
    """A face cut along the line between the lips.

    `fields` `(C, C, 3)`: the share, in [0, 1], that the lower and the upper half take in opening,
    and the height of the line in pixels. At strength 1 the halves move by `drop_px` and
    `lift_px`; at -1 both close the gap between the lips, `shut_px` each.
    """

    fields: Floats
    drop_px: float
    lift_px: float
    shut_px: float

    def at(self, strength: float) -> Floats:
        """Return fields `(C, C, 3)` of displacements in pixels: of the lower half, the upper, the
        line."""
        moves = (self.drop_px, self.lift_px) if strength > 0 else (self.shut_px, self.shut_px)
        factors = np.array([strength * moves[0], strength * moves[1], 1.0], np.float32)
        return np.asarray(self.fields * factors, np.float32)


def mouth_of(rng: np.random.Generator, points: Floats, size: int) -> Mouth:
    """Return the mouth of an upright face with landmarks `(68, 2)`; how far it opens is drawn."""
    plane = Plane.of(points, size)
    unit, at = plane.unit, plane.places()
    # The lower lip is numbered from right to left.
    upper, lower = points[UPPER_LIP], points[LOWER_LIP][::-1]
    inner = np.stack([points[60], *((upper + lower) / 2), points[64]])
    # `np.interp` takes rising x alone, which not every annotation gives.
    order = np.argsort(inner[:, 0])
    line = np.interp(at, inner[order, 0], inner[order, 1])[None, :]
    depth = at[:, None] - line
    middle, half = inner[:, 0].mean(), max(float(np.ptp(inner[:, 0])) / 2, 0.05 * unit)
    lips = np.clip(1 - ((at - middle) / half) ** 2, 0, 1)[None, :]
    jaw = np.exp(-(((at - middle) / (0.42 * unit)) ** 2))[None, :]
    deep = 1 - np.exp(-np.maximum(depth, 0) / (0.22 * unit))
    below_chin = np.clip((depth - (points[8, 1] - line)) / (0.6 * unit), 0, 1)
    falls = (1 - below_chin) * (lips * (1 - deep) + jaw * deep)
    rises = lips * np.exp(np.minimum(depth, 0) / (0.12 * unit))
    gap_px = max(float((lower - upper)[:, 1].mean()), 0.0)
    fields = np.stack(np.broadcast_arrays(falls, rises, line), axis=-1)
    return Mouth(
        np.ascontiguousarray(fields, np.float32),
        drop_px=rng.uniform(0.05, 0.17) * unit,
        lift_px=rng.uniform(0.0, 0.03) * unit,
        shut_px=min(0.45 * gap_px, 0.08 * unit),
    )


def uncross_lips(points: Floats) -> Floats:
    """Return landmarks whose inner lips do not overlap: where annotators crossed them, they
    meet."""
    points = points.copy()
    for up, down in ((61, 67), (62, 66), (63, 65)):
        if points[up, 1] > points[down, 1]:
            points[[up, down], 1] = points[[up, down], 1].mean()
    return points
