"""Facial muscles as warps of a face's still picture that carry landmarks exactly.

Two maps of the picture's plane follow each other. The mouth opens or closes along the line
between the lips; then smooth fields move brows, lids, corners of the mouth and the nose. Both are
defined backwards (where does this pixel come from), as rendering needs it; landmarks go forwards
by solving the same equations.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from handlers.processing.arrays import Doubles, Floats
from handlers.training.synthetic.fields import ACTIONS, CELLS, Mouth, action_fields, mouth_of
from handlers.training.synthetic.motion import Track, grid, pulses, waves

STEEPEST = 0.75  # a field's largest slope: below 1 the map has an inverse
BELOW_MOUTH = [*range(2, 15), *range(55, 60), *range(65, 68)]
SOLVER_ROUNDS, SOLVER_PACE, SOLVED_PX = 80, 0.6, 2e-4


class Fields(NamedTuple):
    """Displacements in source pixels: the muscles' `(C, C, 2)` and the mouth's `(C, C, 3)`."""

    muscles: Floats
    mouth: Floats


class Origin(NamedTuple):
    """Sources of pixels `(H, W)`, and how deep each lies in the opened mouth (0 outside)."""

    x: Floats
    y: Floats
    gape: Floats


@dataclass(frozen=True, eq=False)
class Expression:
    """The fields of one face picture of `size` pixels and how strongly they act over time.

    `muscles` `(A, C, C, 2)` are the displacements of the `ACTIONS` at full strength; `acts` is a
    track of A strengths and, last, the mouth's: 1 is wide open, -1 closed.
    """

    muscles: Floats
    mouth: Mouth
    acts: Track
    size: int

    def fields(self, time: float) -> Fields:
        """Return the fields at a time in frames, never so steep that the map would fold."""
        acts = self.acts.at(np.array([time]))[0]
        field = np.tensordot(acts[:-1].astype(np.float32), self.muscles, axes=1)
        field *= min(1.0, STEEPEST * (self.size / CELLS) / max(steepness(field), 1e-6))
        return Fields(field, self.mouth.at(float(np.clip(acts[-1], -1, 1))))

    def origin(self, x: Floats, y: Floats, fields: Fields) -> Origin:
        """Find where pixels `x`, `y` `(H, W)` of the moved face come from in the still one."""
        moved = self._sample(fields.muscles, x, y)
        x, y = x + moved[..., 0], y + moved[..., 1]
        lower, upper, line = np.moveaxis(self._sample(fields.mouth, x, y), -1, 0)
        height = y - line
        below = height > 0
        from_height = np.where(below, height - lower, height + upper)
        inside = np.where(below, np.maximum(from_height, 0), np.minimum(from_height, 0))
        return Origin(x, line + inside, np.abs(inside - from_height))

    def move(self, points: Floats, time: float) -> Doubles:
        """Move landmarks `(68, 2)` of the still picture to their places at a time."""
        fields = self.fields(time)
        below = np.zeros(len(points), bool)
        below[BELOW_MOUTH] = True

        def open_mouth(at: Doubles) -> Doubles:
            shift = sample(fields.mouth, at, self.size)
            down = np.where(below, shift[:, 0], -shift[:, 1])
            return np.stack([np.zeros(len(at)), down], axis=1)

        opened = solve(open_mouth, points.astype(np.float64))
        return solve(lambda at: -sample(fields.muscles, at, self.size), opened)

    def _sample(self, field: Floats, x: Floats, y: Floats) -> Floats:
        scale = np.float32(CELLS / self.size)
        at_x, at_y = ((axis + np.float32(0.5)) * scale - np.float32(0.5) for axis in (x, y))
        values = cv2.remap(field, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(values, np.float32)


def steepness(field: Floats) -> float:
    """Return the largest slope of a field `(C, C, 2)` a cell that could fold the plane.

    Where a component rises along its own axis it only squeezes, however steeply.
    """
    along_y, along_x = np.diff(field, axis=0), np.diff(field, axis=1)
    folding = (-along_y[..., 1].min(), -along_x[..., 0].min())
    shearing = (np.abs(along_y[..., 0]).max(), np.abs(along_x[..., 1]).max())
    return float(max(*folding, *shearing))


def solve(shift: Callable[[Doubles], Doubles], start: Doubles) -> Doubles:
    """Return the points `(N, 2)` with `points = start + shift(points)`, to a thousandth of
    a pixel."""
    points = start
    for _ in range(SOLVER_ROUNDS):
        before, points = points, points + SOLVER_PACE * (start + shift(points) - points)
        if np.abs(points - before).max() < SOLVED_PX:
            break
    return points


def sample(field: Floats, points: Doubles, size: int) -> Doubles:
    """Return bilinear values `(N, K)` at `points` `(N, 2)` of a field `(C, C, K)` over `size`
    pixels."""
    where = np.clip((points + 0.5) * (CELLS / size) - 0.5, 0, CELLS - 1)
    low = np.minimum(where.astype(np.int64), CELLS - 2)
    (fx, fy), (x, y) = (where - low).T[..., None], low.T
    top = field[y, x] * (1 - fx) + field[y, x + 1] * fx
    bottom = field[y + 1, x] * (1 - fx) + field[y + 1, x + 1] * fx
    return np.asarray(top * (1 - fy) + bottom * fy, np.float64)


def draw_expression(
    rng: np.random.Generator,
    points: Floats,
    size: int,
    frames: int,
    liveliness: float,
    head: Track,
) -> Expression:
    """Draw an expression for landmarks `(68, 2)` of an upright face picture of `size` pixels.

    `liveliness` 0 holds the face still; `head` is its pose track, as the nose moves with yaw and
    pitch.
    """
    times = grid(frames)
    acts = np.stack([_act(rng, times, name) for name in (*ACTIONS, "mouth")], axis=1) * liveliness
    acts[:, ACTIONS.index("build")] = rng.uniform(0, 1)
    acts[:, ACTIONS.index("turn")] = head.values[:, 4]
    acts[:, ACTIONS.index("nod")] = head.values[:, 5]
    muscles = action_fields(rng, points, size)
    return Expression(muscles, mouth_of(rng, points, size), Track(acts), size)


def _act(rng: np.random.Generator, times: Doubles, name: str) -> Doubles:
    """Draw the strength of one action over time `(N,)`."""
    span = float(np.ptp(times))
    if name.endswith("lid"):
        return pulses(rng, times, int(rng.poisson(span / 45 + 0.25)), (3, 8))
    if name == "mouth" and rng.random() < 0.6:  # speech
        return waves(rng, times, np.array([0.5]), (4, 14))[:, 0] + rng.uniform(-0.2, 0.3)
    held = pulses(rng, times, int(rng.poisson(span / 60 + 0.35)), (8, 60))
    return held * (rng.choice([-1.0, 1.0]) if name in ("jaw", "mouth") else 1.0)
