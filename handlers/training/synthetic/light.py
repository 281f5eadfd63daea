"""Light that drifts, fails, or comes from one side, and the sensor's noise."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from handlers.training.synthetic.timeline import Track, grid, steps, waves

Image = NDArray[np.uint8]


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
        """A picture `(H, W, 3)` as lit at a time; `unit` is the face's width, in its pixels."""
        log_gain, slope_x, slope_y = self.track.at(np.array([time]))[0]
        image = cv2.LUT(image, self._table(float(np.exp(log_gain))))  # type: ignore[assignment]
        height, width = image.shape[:2]
        values: NDArray[np.float32] | Image = image
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

    def _grain(self, shape: tuple[int, ...], seed: list[int]) -> NDArray[np.float32]:
        """The sum of two uniform bytes: nearly normal, and quick."""
        bytes_ = np.random.default_rng(seed).integers(0, 256, (2, *shape), dtype=np.uint8)
        total = bytes_[0].astype(np.float32) + bytes_[1] - 255
        return np.asarray(total * np.float32(self.noise / 104.5))


def draw_light(
    rng: np.random.Generator, frames: int, drift: float, gain: tuple[float, float], noise: float
) -> Light:
    """Light for so many frames: `drift` 0 holds it at a strength drawn from the range `gain`."""
    times = grid(frames)
    track = waves(rng, times, np.array([0.35, 0.5, 0.3]) * drift, (20, 150))
    if drift > 0 and rng.random() < 0.3:  # a lamp is switched
        track += steps(rng, times, np.array([[rng.uniform(-0.6, 0.3), 0, 0]]), (0.5, 3))
    track[:, 0] += rng.uniform(*np.log(gain))
    color = 1 + 0.12 * drift * rng.uniform(-1, 1, 3)
    gamma = float(np.exp(0.25 * drift * rng.uniform(-1, 1)))
    return Light(Track(track), gamma, (float(color[0]), float(color[1]), float(color[2])), noise)
