"""The image degradations of sections 3.4.1 and 4.3.5, for training, evaluation and tests alike."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

LEVELS: dict[str, tuple[float, ...]] = {
    "downsampling": (2, 4, 8),
    "blur": (1, 3, 5),
    "noise": (0.001, 0.005, 0.01),
    "color": (0.8, 0.5, 0.2),
    "motion": (10, 15, 25),
}

# Levels are in pixels of a face whose box measures this much.
REFERENCE_FACE_PX = 128.0


def degrade(
    pixels: Image,
    name: str,
    level: float,
    rng: np.random.Generator,
    face_px: float = REFERENCE_FACE_PX,
) -> Image:
    """Degrade an RGB picture `(H, W, 3)` uint8.

    `name` and `level`: "downsampling" by a factor, Gaussian "blur" of standard deviation sigma
    in pixels, Gaussian "noise" of a variance on [0, 1], "color" scaling of the intensity by a
    factor, "motion" blur as the mean of that many frames of a face moving in a straight line by
    half a pixel a frame. Lengths are in pixels of a face box of 128 pixels; `face_px` is this
    picture's. Drawn from `rng` alone, so a seed fixes the result.

    Raises ValueError for an unknown name.
    """
    if name not in _DEGRADATIONS:
        raise ValueError(f"unknown degradation {name!r}: one of {', '.join(_DEGRADATIONS)}")
    return _DEGRADATIONS[name](pixels, level, rng, face_px / REFERENCE_FACE_PX)


def _downsample(pixels: Image, factor: float, rng: np.random.Generator, unit: float) -> Image:
    height, width = pixels.shape[:2]
    factor = max(factor * unit, 1.0)
    small = (max(round(width / factor), 1), max(round(height / factor), 1))
    shrunk = cv2.resize(pixels, small, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _blur(pixels: Image, sigma: float, rng: np.random.Generator, unit: float) -> Image:
    return np.asarray(
        cv2.GaussianBlur(pixels, (0, 0), sigma * unit, borderType=cv2.BORDER_REPLICATE), np.uint8
    )


def _noise(pixels: Image, variance: float, rng: np.random.Generator, unit: float) -> Image:
    noise = rng.standard_normal(pixels.shape, dtype=np.float32) * (255 * np.sqrt(variance))
    return _to_uint8(pixels + noise)


def _color(pixels: Image, factor: float, rng: np.random.Generator, unit: float) -> Image:
    return _to_uint8(pixels * np.float32(factor))


def _motion(pixels: Image, frames: float, rng: np.random.Generator, unit: float) -> Image:
    length = frames * 0.5 * unit
    angle = rng.uniform(0, np.pi)
    size = 2 * int(np.ceil(length / 2)) + 3
    centre = np.array([size // 2, size // 2], np.float64)
    half = length / 2 * np.array([np.cos(angle), np.sin(angle)])
    kernel = np.zeros((size, size), np.float32)
    # Splatted between pixels: a rounded line would blur by another length at each angle.
    for position in np.linspace(-1, 1, max(int(frames), 2)):
        _splat(kernel, centre + position * half)
    # The mean of the frames: brightness stays.
    kernel /= kernel.sum()
    return np.asarray(cv2.filter2D(pixels, -1, kernel, borderType=cv2.BORDER_REPLICATE), np.uint8)


def _splat(kernel: NDArray[np.float32], position: NDArray[np.float64]) -> None:
    """Add one unit at a position between pixels, shared bilinearly by its four neighbours."""
    x, y = np.floor(position).astype(int)
    fx, fy = position - (x, y)
    kernel[y : y + 2, x : x + 2] += np.outer((1 - fy, fy), (1 - fx, fx))


def _to_uint8(values: NDArray[np.float32]) -> Image:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


_DEGRADATIONS: dict[str, Callable[[Image, float, np.random.Generator, float], Image]] = {
    "downsampling": _downsample,
    "blur": _blur,
    "noise": _noise,
    "color": _color,
    "motion": _motion,
}
