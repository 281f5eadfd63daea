"""Things that pass in front of a face: painted once, then moved along a path."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from handlers.processing.arrays import Doubles, Image
from handlers.training.synthetic.motion import Track, grid, similarity, smooth

SPRITE_PX = 96
CORNER = SPRITE_PX / 2
PALM_Y = 0.37 * SPRITE_PX
Paint = Callable[[np.random.Generator, Image], Image]


@dataclass(frozen=True, eq=False)
class Occluder:
    """`sprite` uint8 `(96, 96, 4)` RGB and opacity; `track` `(x, y, width, angle)` over time.

    Place and width are in widths of the face, from the frame's centre; the angle in radians.
    """

    sprite: Image
    track: Track

    def matrix(self, time: float, centre: Doubles, face_px: float) -> Doubles:
        """Return the 3 x 3 map from sprite to frame pixels at a time."""
        x, y, width, angle = self.track.at(np.array([time]))[0]
        matrix = similarity(width * face_px / SPRITE_PX, angle)
        middle = matrix[:2, :2] @ np.full(2, (SPRITE_PX - 1) / 2)
        matrix[:2, 2] = centre + np.array([x, y]) * face_px - middle
        return matrix


def texture(rng: np.random.Generator, other: Image) -> Image:
    """Return one colour, a gradient, noise, or a piece of another picture `(S, S, 3+)`, uint8."""
    kind = rng.choice(4, p=[0.3, 0.2, 0.1, 0.4])
    shape = (SPRITE_PX, SPRITE_PX, 3)
    first, second = rng.integers(0, 256, (2, 3))
    if kind == 0:
        return np.full(shape, first, np.uint8)
    if kind == 1:
        share = np.linspace(0, 1, SPRITE_PX)[:, None, None]
        return np.broadcast_to(first * share + second * (1 - share), shape).astype(np.uint8)
    if kind == 2:
        return rng.integers(0, 256, shape, dtype=np.uint8)
    side = int(rng.uniform(0.3, 0.6) * len(other))
    x, y = rng.integers(0, len(other) - side, 2)
    piece = np.rot90(other[y : y + side, x : x + side, :3], int(rng.integers(1, 4)))
    return np.asarray(cv2.resize(piece, (SPRITE_PX, SPRITE_PX)), np.uint8)


def paint_box(rng: np.random.Generator, other: Image) -> Image:
    """Paint a rectangle."""
    half = (SPRITE_PX / 2 - 4) * rng.uniform((0.5, 0.5), (1, 1))
    mask = _mask()
    cv2.rectangle(mask, _at(CORNER - half), _at(CORNER + half), 255, cv2.FILLED)
    return _sprite(texture(rng, other), mask)


def paint_strip(rng: np.random.Generator, other: Image) -> Image:
    """Paint a bar across everything (the thesis's strips, section 4.3.5)."""
    half = int(SPRITE_PX * rng.uniform(0.02, 0.06))
    mask = _mask()
    mask[SPRITE_PX // 2 - half - 1 : SPRITE_PX // 2 + half + 1] = 255
    return _sprite(texture(rng, other), mask)


def paint_ellipse(rng: np.random.Generator, other: Image) -> Image:
    """Paint a ball or a plate."""
    axes = tuple(int(v) for v in (SPRITE_PX / 2 - 4) * rng.uniform((0.5, 0.5), (1, 1)))
    mask = _mask()
    cv2.ellipse(mask, (SPRITE_PX // 2, SPRITE_PX // 2), axes, 0, 0, 360, 255, cv2.FILLED)
    return _sprite(texture(rng, other), mask)


def paint_hand(rng: np.random.Generator, other: Image) -> Image:
    """Paint a palm with five fingers and an arm, the colour of skin, lit from one side."""
    mask = _mask()
    palm = np.array([CORNER, PALM_Y])
    cv2.ellipse(mask, _at(palm), (13, 15), 0, 0, 360, 255, cv2.FILLED)
    spread, width = rng.uniform(0.10, 0.26), int(rng.uniform(5, 8))
    for finger, length in enumerate((25, 29, 30, 27)):
        angle = (finger - 1.5) * spread
        tip = palm + length * np.array([np.sin(angle), -np.cos(angle)])
        cv2.line(mask, _at(palm + 0.3 * (tip - palm)), _at(tip), 255, width, cv2.LINE_AA)
    cv2.line(mask, _at(palm), _at(palm + (-21, -4)), 255, width, cv2.LINE_AA)
    elbow = (int(CORNER + rng.uniform(-20, 20)), SPRITE_PX + 20)
    cv2.line(mask, _at(palm + (0, 6)), elbow, 255, 18)
    skin = np.array([225, 172, 140]) * rng.uniform(0.3, 1.1) + rng.uniform(-15, 15, 3)
    shade = 1 + rng.uniform(-0.35, 0.35) * np.linspace(-1, 1, SPRITE_PX)[None, :, None]
    edges = cv2.GaussianBlur(mask, (0, 0), 4).astype(np.float32)[..., None] / 255
    color = np.clip(skin * shade * (0.55 + 0.45 * edges), 0, 255).astype(np.uint8)
    return _sprite(np.broadcast_to(color, (SPRITE_PX, SPRITE_PX, 3)), mask)


def paint_fence(rng: np.random.Generator, other: Image) -> Image:
    """Paint parallel bars with gaps between them, over the whole sprite."""
    count, share = int(rng.integers(7, 11)), rng.uniform(0.3, 0.5)
    phase = np.arange(SPRITE_PX) * count / SPRITE_PX % 1
    mask = np.broadcast_to((phase < share) * np.uint8(255), (SPRITE_PX, SPRITE_PX)).copy()
    color = np.broadcast_to(rng.integers(0, 200, 3), (SPRITE_PX, SPRITE_PX, 3))
    return _sprite(color.astype(np.uint8), mask)


PAINTS: dict[str, Paint] = {
    "box": paint_box,
    "strip": paint_strip,
    "ellipse": paint_ellipse,
    "hand": paint_hand,
    "fence": paint_fence,
}
WIDTHS = {
    "box": (0.5, 1.5),
    "strip": (3, 4),
    "ellipse": (0.5, 1.5),
    "hand": (2.0, 3.0),
    "fence": (4, 5),
}


def draw_occluder(
    rng: np.random.Generator, kind: str, other: Image, places: Doubles, frames: int
) -> Occluder:
    """Draw something of a family of `PAINTS` that meets the face.

    `places` `(N, 2)` is where the face's centre is at the times of `grid(frames)`. A hand comes,
    rests on the face and goes; everything else passes by in a straight line.
    """
    times = grid(frames)
    width = rng.uniform(*WIDTHS[kind])
    meeting = rng.uniform(-0.1, 1.1) * frames
    direction = rng.uniform(0, 2 * np.pi)
    heading = np.array([np.cos(direction), np.sin(direction)])
    off = rng.normal(0, 0.2, 2)
    if kind == "hand":
        rest = rng.uniform(0.1, 0.35) * max(frames, 12)
        away = smooth(np.clip((np.abs(times - meeting) - rest / 2) / rng.uniform(4, 10), 0, 1))
        reach = width * (0.5 - PALM_Y / SPRITE_PX) + away * (0.8 + 0.5 * width)
        path = places + off + reach[:, None] * heading
        angle = np.full(len(times), direction - np.pi / 2 + rng.normal(0, 0.3))
    else:
        pace = (1 + min(width, 2)) / rng.uniform(8, 40)
        at = places[np.abs(times - meeting).argmin()]
        path = at + off + (times - meeting)[:, None] * heading * pace
        angle = rng.uniform(0, np.pi) + (times - meeting) * rng.normal(0, 0.01)
    columns = np.broadcast_arrays(path[:, 0], path[:, 1], width, angle)
    return Occluder(PAINTS[kind](rng, other), Track(np.stack(columns, axis=1)))


def _mask() -> Image:
    return np.zeros((SPRITE_PX, SPRITE_PX), np.uint8)


def _at(point: Doubles) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))


def _sprite(color: Image, mask: Image) -> Image:
    soft = cv2.GaussianBlur(mask, (3, 3), 0)
    return np.ascontiguousarray(np.dstack([color, soft]), np.uint8)
