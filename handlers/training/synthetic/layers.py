"""Layers of a picture laid over each other, and the light that falls on what they make."""

from dataclasses import dataclass

import cv2
import numpy as np

from handlers.processing.arrays import Doubles, Floats, Image
from handlers.training.synthetic.expressions import Origin
from handlers.training.synthetic.motion import Track, grid, project, steps, waves

CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
CAVITY = np.array([45, 18, 18], np.float32)  # the colour inside a mouth that opens


@dataclass(frozen=True, eq=False)
class Light:
    """`track` `(log_gain, slope_x, slope_y)` over time; gamma and colour of the whole sequence.

    Slopes are brightness a width of the face, from the face's middle outwards. `noise` is the
    standard deviation of the sensor's noise in grey levels.
    """

    track: Track
    gamma: float
    color: tuple[float, float, float]
    noise: float

    def shine(
        self, image: Image, time: float, centre: tuple[float, float], unit: float, seed: list[int]
    ) -> Image:
        """Return a picture `(H, W, 3)` as lit at a time; `unit` is the face's width, in its
        pixels."""
        log_gain, slope_x, slope_y = self.track.at(np.array([time]))[0]
        image = cv2.LUT(image, self._table(float(np.exp(log_gain))))  # type: ignore[assignment]
        height, width = image.shape[:2]
        values: Floats | Image = image
        if abs(slope_x) + abs(slope_y) > 0.02:
            x = (np.arange(width, dtype=np.float32) - centre[0]) * np.float32(slope_x / unit)
            y = (np.arange(height, dtype=np.float32) - centre[1]) * np.float32(slope_y / unit)
            factor = np.clip(1 + x[None, :] + y[:, None], 0.25, 1.75)
            values = values * factor[..., None]
        if self.noise > 0:
            values = values + self._grain(image.shape, seed)
        return image if values is image else np.clip(values, 0, 255).astype(np.uint8)

    def _table(self, gain: float) -> Image:
        curve = np.linspace(0, 1, 256)[:, None] ** self.gamma * gain * np.array(self.color)
        return np.asarray(np.clip(np.rint(curve * 255), 0, 255)[:, None], np.uint8)

    def _grain(self, shape: tuple[int, ...], seed: list[int]) -> Floats:
        """Return the sum of two uniform bytes: nearly normal, and quick."""
        bytes_ = np.random.default_rng(seed).integers(0, 256, (2, *shape), dtype=np.uint8)
        total = bytes_[0].astype(np.float32) + bytes_[1] - 255
        return np.asarray(total * np.float32(self.noise / 104.5))


def draw_light(
    rng: np.random.Generator, frames: int, drift: float, gain: tuple[float, float], noise: float
) -> Light:
    """Draw light for so many frames: `drift` 0 holds it at a strength drawn from the range
    `gain`."""
    times = grid(frames)
    track = waves(rng, times, np.array([0.35, 0.5, 0.3]) * drift, (20, 150))
    if drift > 0 and rng.random() < 0.3:  # a lamp is switched
        track += steps(rng, times, np.array([[rng.uniform(-0.6, 0.3), 0, 0]]), (0.5, 3))
    track[:, 0] += rng.uniform(*np.log(gain))
    color = 1 + 0.12 * drift * rng.uniform(-1, 1, 3)
    gamma = float(np.exp(0.25 * drift * rng.uniform(-1, 1)))
    return Light(Track(track), gamma, (float(color[0]), float(color[1]), float(color[2])), noise)


def covered_area(matrix: Doubles, size: int, shape: tuple[int, ...]) -> tuple[slice, slice] | None:
    """Return the rows and columns of a picture of `shape` that a square of `size` covers; none
    outside."""
    place = project(matrix, CORNERS * (size - 1))
    low = np.floor(place.min(axis=0)).astype(int).clip(0)
    high = np.minimum(np.ceil(place.max(axis=0)).astype(int) + 1, (shape[1], shape[0]))
    if (high <= low).any():
        return None
    return slice(low[1], high[1]), slice(low[0], high[0])


def plane_coordinates(inverse: Doubles, area: tuple[slice, slice]) -> tuple[Floats, Floats]:
    """Map pixels of an area through a homography: `x` and `y` `(H, W)`."""
    rows, columns = area
    a, b, c, d, e, f, g, h, i = inverse.astype(np.float32).ravel()
    x = np.arange(columns.start, columns.stop, dtype=np.float32)[None, :]
    y = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None]
    over = 1 / ((g * x + i) + h * y)
    columns_of, rows_of = ((a * x + c) + b * y) * over, ((d * x + f) + e * y) * over
    return np.asarray(columns_of, np.float32), np.asarray(rows_of, np.float32)


def halvings(picture: Image, matrix: Doubles) -> tuple[Image, np.float32]:
    """Return the picture, averaged down by halves until `matrix` would not shrink it much more, and
    its new size over the old one."""
    size, scale = len(picture), float(np.sqrt(abs(np.linalg.det(matrix / matrix[2, 2]))))
    while scale < 0.6 and len(picture) > 16:
        half = (len(picture) + 1) // 2
        picture = np.asarray(
            cv2.resize(picture, (half, half), interpolation=cv2.INTER_AREA), np.uint8
        )
        scale *= 2
    return picture, np.float32(len(picture) / size)


def fitting(picture: Image, matrix: Doubles, origin: Origin) -> tuple[Image, Origin]:
    """Return a picture made small enough for `matrix`, and the origins in it."""
    picture, ratio = halvings(picture, matrix)
    shift = (ratio - 1) / 2
    return picture, Origin(origin.x * ratio + shift, origin.y * ratio + shift, origin.gape)


def paint(picture: Image, origin: Origin) -> Image:
    """Paint an RGBA picture `(S, S, 4)` drawn from where its pixels come from; an open mouth is
    dark."""
    layer = cv2.remap(picture, origin.x, origin.y, cv2.INTER_LINEAR)
    if origin.gape.max() > 0.05:
        share = np.clip(origin.gape * np.float32(0.7), 0, 0.85)[..., None]
        layer[..., :3] = (layer[..., :3] * (1 - share) + share * CAVITY).astype(np.uint8)
    return np.asarray(layer, np.uint8)


def lay(image: Image, picture: Image, matrix: Doubles) -> None:
    """Lay an RGBA picture `(S, S, 4)` over another one, in place."""
    covered = covered_area(matrix, len(picture), image.shape)
    if covered is None:
        return
    rows, columns = covered
    picture, ratio = halvings(picture, matrix)
    shift = (ratio - 1) / 2
    from_small = np.linalg.inv(np.array([[ratio, 0, shift], [0, ratio, shift], [0, 0, 1]]))
    to_area = np.array([[1, 0, -columns.start], [0, 1, -rows.start], [0, 0, 1]], np.float64)
    size = (columns.stop - columns.start, rows.stop - rows.start)
    layer = cv2.warpPerspective(picture, to_area @ matrix @ from_small, size)
    blend(image[covered], np.asarray(layer, np.uint8))


def blend(target: Image, layer: Image) -> None:
    """Lay RGBA pixels `(H, W, 4)` over RGB ones, in place."""
    values = layer.astype(np.float32)
    opacity = values[..., 3:] * np.float32(1 / 255)
    values = values[..., :3] - target
    values *= opacity
    values += target
    target[:] = np.rint(values, out=values)
