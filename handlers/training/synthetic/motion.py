"""Smooth random functions of time, and of them families of head motion and the camera's.

A pose is `(x, y, log_scale, roll, yaw, pitch)`: the place of the face's centre from that of the
frame in widths of the face, and angles in radians, signs as in the picture (roll clockwise). A
camera is `(x, y, log_zoom, roll)` in the same units. Time is in frames.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handlers.processing.arrays import Doubles

SUBSTEPS = 8  # samples a frame: motion blur looks between the frames
MARGIN_FRAMES = 1.0  # an exposure may begin before the first frame and end after the last
# How far a lively head goes: widths of the face, logarithm, radians.
REACH = np.array([0.7, 0.35, 0.18, 0.22, 0.40, 0.25])
CAMERA_REACH = np.array([0.25, 0.25, 0.06, 0.04])
TREMOR = np.array([0.004, 0.004, 0.003, 0.003, 0.004, 0.004])
LIMITS = np.array([np.inf, np.inf, 0.7, 0.9, 0.75, 0.5])
DISTANCE = 4.0  # of the camera, in widths of the face: how strong perspective is


@dataclass(frozen=True, eq=False)
class Track:
    """A vector over time: `values` `(N, K)` at the times of `grid`, linear between them."""

    values: Doubles

    def at(self, times: Doubles) -> Doubles:
        """Return values `(M, K)` at times `(M,)` in frames; held constant beyond the ends."""
        where = np.clip((times + MARGIN_FRAMES) * SUBSTEPS, 0, len(self.values) - 1)
        low = np.minimum(where.astype(np.int64), len(self.values) - 2)
        share = (where - low)[:, None]
        return np.asarray(self.values[low] * (1 - share) + self.values[low + 1] * share)


def grid(frames: int) -> Doubles:
    """Return the times `(N,)` at which tracks of so many frames are sampled."""
    samples = int(np.ceil((frames - 1 + 2 * MARGIN_FRAMES) * SUBSTEPS)) + 1
    return np.arange(samples) / SUBSTEPS - MARGIN_FRAMES


def waves(
    rng: np.random.Generator, times: Doubles, amplitudes: Doubles, periods: tuple[float, float]
) -> Doubles:
    """Return sums of three sinusoids `(N, K)`, about as large as `amplitudes` `(K,)`.

    Periods are drawn between the two given, in frames; slow ones are larger.
    """
    columns = len(amplitudes)
    low, high = np.log(periods)
    period = np.exp(rng.uniform(low, high, (3, columns)))
    weight = np.sqrt(period) * rng.uniform(0.3, 1.0, (3, columns))
    weight *= amplitudes / weight.sum(axis=0)
    phase = rng.uniform(0, 2 * np.pi, (3, columns))
    angle = times[:, None, None] * (2 * np.pi / period) + phase
    return np.asarray((np.sin(angle) * weight).sum(axis=1))


def steps(
    rng: np.random.Generator, times: Doubles, sizes: Doubles, durations: tuple[float, float]
) -> Doubles:
    """Return sudden moves `(N, K)`: `sizes` `(M, K)` are added one after the other, each in its
    time.

    A move takes a duration drawn between the two given, in frames, and is smooth.
    """
    total = np.zeros((len(times), sizes.shape[1]))
    for size in sizes:
        start = rng.uniform(times[0], times[-1])
        done = np.clip((times - start) / rng.uniform(*durations), 0, 1)
        total += smooth(done)[:, None] * size
    return total


def pulses(
    rng: np.random.Generator, times: Doubles, count: int, durations: tuple[float, float]
) -> Doubles:
    """Return a function `(N,)` in [0, 1] that rises, holds and falls `count` times."""
    total = np.zeros(len(times))
    for _ in range(count):
        length = rng.uniform(*durations)
        middle = rng.uniform(times[0], times[-1])
        near = 1.5 - np.abs(times - middle) * (3 / length)
        total = np.maximum(total, rng.uniform(0.4, 1.0) * smooth(np.clip(near, 0, 1)))
    return total


def smooth(share: Doubles) -> Doubles:
    """Return 0 to 1 with level ends (3s^2 - 2s^3)."""
    return np.asarray(share * share * (3 - 2 * share))


def still(rng: np.random.Generator, times: Doubles) -> Doubles:
    """Return a person who holds still: a tremor of some thousandths of the face."""
    return waves(rng, times, TREMOR, (6, 60))


def sway(rng: np.random.Generator, times: Doubles) -> Doubles:
    """Return sums of sinusoids in everything: talking, nodding, looking around."""
    return waves(rng, times, REACH * rng.uniform(0.2, 1.0, 6), (14, 120))


def wander(rng: np.random.Generator, times: Doubles) -> Doubles:
    """Return a smoothed random walk: it goes anywhere and does not come back."""
    width = int(rng.uniform(6, 24) * len(times) / np.ptp(times)) + 3
    kicks = rng.standard_normal((len(times) + width - 1, 6))
    window = np.hanning(width)
    window *= 0.05 / np.linalg.norm(window)
    rates = np.stack([np.convolve(column, window, mode="valid") for column in kicks.T], axis=1)
    return np.cumsum(rates * REACH, axis=0) * np.ptp(times) / len(times)


def jerk(rng: np.random.Generator, times: Doubles) -> Doubles:
    """Return a gentle sway with rapid moves of up to half a face within one to three frames."""
    count = 1 + int(np.ptp(times) / rng.uniform(12, 40))
    sizes = rng.uniform(-1, 1, (count, 6)) * [0.5, 0.35, 0.2, 0.35, 0.5, 0.35]
    return 0.4 * sway(rng, times) + steps(rng, times, sizes, (1.0, 3.5))


def bounce(rng: np.random.Generator, times: Doubles) -> Doubles:
    """Return a ball's flight: thrown, falling, thrown back by floor and walls, turning at a fixed
    rate."""
    span = times - times[0]
    flight = rng.uniform(12, 26)
    phase = ((span + rng.uniform(0, flight)) % flight) / flight
    pose = waves(rng, times, TREMOR * 8, (14, 60))
    pose[:, 0] += _reflected(span * rng.uniform(0.02, 0.06), rng.uniform(0.4, 0.9), rng)
    pose[:, 1] += rng.uniform(0.4, 0.8) * (0.5 - 4 * phase * (1 - phase))
    pose[:, 3] += _reflected(span * rng.uniform(0.01, 0.03), rng.uniform(0.2, 0.5), rng)
    return pose


def _reflected(way: Doubles, reach: float, rng: np.random.Generator) -> Doubles:
    """Move to and fro between -reach and reach at constant speed."""
    along = (way + rng.uniform(0, 4 * reach)) % (4 * reach)
    return np.asarray(np.abs(along - 2 * reach) - reach)


MOTIONS: dict[str, Callable[[np.random.Generator, Doubles], Doubles]] = {
    "still": still,
    "sway": sway,
    "wander": wander,
    "jerk": jerk,
    "bounce": bounce,
}


def draw_pose(
    rng: np.random.Generator, motion: str, frames: int, speed: float, leaves: float | None
) -> Track:
    """Draw a pose track of `frames` frames; `speed` runs the family's time faster or slower.

    With `leaves` the face goes out of the frame and comes back, that many widths away from where
    it would be. The middle of the track lies near the frame's centre.
    """
    times = grid(frames)
    pose = MOTIONS[motion](rng, times * speed)
    middle = pose[len(pose) // 2, :2]
    pose[:, :2] -= middle - rng.uniform(-0.3, 0.3, 2)
    pose = np.clip(pose, -LIMITS, LIMITS)
    if leaves is not None:
        pose[:, 0] += leaves * rng.choice([-1.0, 1.0]) * _absence(rng, times, frames)
    return Track(pose)


def _absence(rng: np.random.Generator, times: Doubles, frames: int) -> Doubles:
    """Return 0 where the face is at home, 1 where it is away: about a quarter of the sequence."""
    length = rng.uniform(0.2, 0.35) * frames
    middle = rng.uniform(0.35, 0.65) * frames
    way = np.clip(0.12 * frames, 2.0, 14.0)
    near = (length / 2 + way - np.abs(times - middle)) / way
    return smooth(np.clip(near, 0, 1))


def draw_camera(rng: np.random.Generator, frames: int, speed: float, amount: float) -> Track:
    """Draw a hand-held camera: slow sway and, half of the time, a faster shake."""
    times = grid(frames) * speed
    track = waves(rng, times, CAMERA_REACH * amount * rng.uniform(0.2, 1.0), (20, 150))
    if rng.random() < 0.5:
        track += waves(rng, times, CAMERA_REACH * amount * 0.06, (3, 9))
    return Track(track)


def camera_matrix(camera: Doubles, centre: Doubles, face_px: float) -> Doubles:
    """Return the 3 x 3 map of a camera row `(4,)` on frame pixels."""
    x, y, zoom, roll = camera
    matrix = similarity(np.exp(zoom), roll)
    matrix[:2, 2] = centre + (x * face_px, y * face_px) - matrix[:2, :2] @ centre
    return matrix


def head_matrix(pose: Doubles, centre: Doubles, face_px: float) -> Doubles:
    """Return the 3 x 3 map from a face's plane, in widths from its centre, to frame pixels.

    Yaw and pitch turn the plane in space before the perspective projection.
    """
    x, y, scale, roll, yaw, pitch = pose
    cos_y, sin_y, cos_p, sin_p = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    # Columns: images of the plane's x and y axes in space, and its origin at the distance.
    turned = np.array([[cos_y, 0, 0], [sin_y * sin_p, cos_p, 0], [-sin_y * cos_p, sin_p, 0]])
    turned[2] /= DISTANCE
    turned[2, 2] = 1.0
    place = similarity(np.exp(scale) * face_px, roll)
    place[:2, 2] = centre + np.array([x, y]) * face_px
    return np.asarray(place @ turned)


def similarity(scale: float, angle: float) -> Doubles:
    """Scale and turn as a 3 x 3 matrix (positive angles clockwise as seen)."""
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])


def project(matrix: Doubles, points: NDArray[np.floating]) -> Doubles:
    """Map points `(N, 2)` through a 3 x 3 homography."""
    moved = points @ matrix[:2, :2].T + matrix[:2, 2]
    return np.asarray(moved / (points @ matrix[2, :2] + matrix[2, 2])[:, None])
