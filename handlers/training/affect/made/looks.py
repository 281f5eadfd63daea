"""Grey faces to crops as a tracker may cut them and a camera may show them, `(S, S)`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from handlers.networks.expressions import INPUT_PX
from handlers.processing.arrays import Doubles, Floats, Image
from handlers.processing.boxes import Crop

Change = Callable[[Image, np.random.Generator], Image]

BORDERS = (cv2.BORDER_REPLICATE, cv2.BORDER_CONSTANT, cv2.BORDER_REFLECT)
SAMPLINGS = (cv2.INTER_LINEAR, cv2.INTER_CUBIC)
GROWINGS = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LINEAR, cv2.INTER_LANCZOS4)
SMALLEST_PX = 22


@dataclass(frozen=True)
class CropRanges:
    """Ranges of a cut: `context` is that of the crop's side over that of the landmarks'
    box; the others are standard deviations, `shift` and `scale` as shares of the side."""

    context: tuple[float, float] = (1.0, 1.35)
    angle_deg: float = 8.0
    shift: float = 0.035
    scale: float = 0.04


def cut(image: Image, box: Floats, cutting: CropRanges, rng: np.random.Generator) -> Image:
    """Cut a face `(S, S)` cut out around its landmarks' box, a little off, half of them
    mirrored."""
    window = Crop.around(box, rng.uniform(*cutting.context), INPUT_PX)
    away = rng.normal(0, cutting.shift, 2) * window.side
    centre = (window.centre[0] + away[0], window.centre[1] + away[1])
    side = window.side * np.exp(rng.normal(0, cutting.scale))
    angle = np.radians(rng.normal(0, cutting.angle_deg))
    matrix = Crop(centre, float(side), INPUT_PX, float(angle)).matrix()
    if rng.random() < 0.5:
        matrix[0] = -matrix[0]
        matrix[0, 2] += INPUT_PX - 1
    return _warp(image, matrix, int(rng.choice(SAMPLINGS)), int(rng.choice(BORDERS)))


def vary(face: Image, rng: np.random.Generator) -> Image:
    """Return a crop as another camera, light or channel shows it, or something before it."""
    return spoil(relight(face, rng), rng)


def relight(face: Image, rng: np.random.Generator) -> Image:
    """Return a crop in other light."""
    return _by_chance(face, LIGHTS, rng)


def spoil(face: Image, rng: np.random.Generator) -> Image:
    """Return a crop as a worse camera or channel shows it, or with something before it."""
    return _by_chance(face, HARMS, rng)


def _by_chance(
    face: Image, changes: Sequence[tuple[float, Change]], rng: np.random.Generator
) -> Image:
    for share, change in changes:
        if rng.random() < share:
            face = change(face, rng)
    return face


def _warp(image: Image, matrix: Doubles, sampling: int, border: int) -> Image:
    size = (INPUT_PX, INPUT_PX)
    return np.asarray(
        cv2.warpAffine(image, matrix, size, flags=sampling, borderMode=border), np.uint8
    )


@cache
def _plane(side: int) -> tuple[Doubles, Doubles]:
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    return x, y


def _light(face: Image, rng: np.random.Generator) -> Image:
    """Light a face from a side."""
    (x, y), way = _plane(len(face)), rng.uniform(0, 2 * np.pi)
    slope = rng.normal(0, 0.4) * (np.cos(way) * x + np.sin(way) * y)
    return np.asarray(np.clip(face * np.exp(slope), 0, 255), np.uint8)


def _gamma(face: Image, rng: np.random.Generator) -> Image:
    curve = 255 * (np.arange(256) / 255) ** np.exp(rng.normal(0, 0.35))
    return np.asarray(curve.astype(np.uint8)[face], np.uint8)


def _resample(face: Image, rng: np.random.Generator) -> Image:
    """Make few pixels of a face, and many again of these."""
    side = round(np.exp(rng.uniform(np.log(SMALLEST_PX), np.log(len(face)))))
    small = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
    grown = cv2.resize(small, face.shape[::-1], interpolation=int(rng.choice(GROWINGS)))
    return np.asarray(grown, np.uint8)


def _blur(face: Image, rng: np.random.Generator) -> Image:
    return np.asarray(cv2.GaussianBlur(face, (0, 0), rng.uniform(0.4, 2.2)), np.uint8)


def _motion(face: Image, rng: np.random.Generator) -> Image:
    """Return a face that moved along a line of nine pixels."""
    line = np.zeros((9, 9), np.float32)
    line[4] = 1
    turned = cv2.warpAffine(
        line, cv2.getRotationMatrix2D((4.0, 4.0), rng.uniform(0, 180), 1.0), (9, 9)
    )
    return np.asarray(cv2.filter2D(face, -1, turned / turned.sum()), np.uint8)


def _sharpen(face: Image, rng: np.random.Generator) -> Image:
    """Sharpen as cameras do and small pictures never are."""
    soft = cv2.GaussianBlur(face, (0, 0), rng.uniform(1, 2.5))
    much = rng.uniform(0.3, 1.5)
    return np.asarray(cv2.addWeighted(face, 1 + much, soft, -much, 0), np.uint8)


def _noise(face: Image, rng: np.random.Generator) -> Image:
    noisy = face + rng.normal(0, rng.uniform(2, 14), face.shape)
    return np.asarray(np.clip(noisy, 0, 255), np.uint8)


def _compress(face: Image, rng: np.random.Generator) -> Image:
    quality = int(rng.uniform(15, 80))
    packed = cv2.imencode(".jpg", face, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE), np.uint8)


def _cover(face: Image, rng: np.random.Generator) -> Image:
    """Put something before the face."""
    side = len(face)
    high, wide = rng.integers(side // 12, round(0.4 * side), 2)
    y, x = rng.integers(0, side - high), rng.integers(0, side - wide)
    covered = face.copy()
    covered[y : y + high, x : x + wide] = rng.integers(0, 256)
    return covered


# What may happen to a face, one after the other, and how often.
LIGHTS: tuple[tuple[float, Change], ...] = ((0.25, _light), (0.6, _gamma))
HARMS: tuple[tuple[float, Change], ...] = (
    (0.5, _resample),
    (0.2, _blur),
    (0.08, _motion),
    (0.25, _sharpen),
    (0.3, _noise),
    (0.35, _compress),
    (0.3, _cover),
)
