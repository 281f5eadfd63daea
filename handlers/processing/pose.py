"""Head pose: 68 landmarks to three angles and a place in millimetres.

The axes are those of the camera: x to the image's right, y down, z away from the camera; the
rotation is `Rx(pitch) @ Ry(yaw) @ Rz(roll)`, as OpenFace has it (Baltrusaitis et al. 2018). So

    pitch > 0   the head nods down
    yaw > 0     the nose turns to the image's left, towards the person's own right
    roll > 0    the head tilts clockwise as seen in the image

and zero is a head upright and straight ahead: docs/head-pose.md has a picture of it. Angles are
those towards a camera that looks straight at the face, so the same face has the same angles at any
place of any picture. The place needs the picture's camera: see `assumed_focal_px`.

A head that changes shape is fitted to the landmarks. Its points in millimetres are
`mean + modes @ weights`, the weights of people and their expressions standard normal. The camera
looks straight at the head from an unknown distance d:

    landmark = scale * (R X)[:2] / (1 + (R X)[2] / d) + shift

Landmarks are centred and brought to one size first, so the picture around the face does not
matter. The most probable values are found by Gauss-Newton over rotation, scale, shift, distance and
weights, from the rotation of the best affine view.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handlers.processing.landmarks import N_POINTS, REGIONS, DegenerateShape

# Weights and distance change what two steps find by less than a tenth of a degree.
STEPS = 2
# 1 / d in 1 / mm, its mean and spread: most photographs are taken from .5 to 4 m.
NEARNESS, NEARNESS_SPREAD = 1 / 900, 1 / 1500
NEAREST, FARTHEST = 1 / 300, 1 / 4000
# Landmarks are some millimetres off, those of the jaw more: they lie on the visible contour, which
# on the far side of a turned head is the cheek's.
NOISE_MM, JAW_NOISE = 2.2, 2.0
FAR_JAW_NOISE = 6.0
OUTLIER = 18.0  # squared errors in units of the noise beyond which a landmark loses its say
MOST_ZOOM = 0.5  # of the logarithm of the scale, in one step
ROTATION, ZOOM, SHIFT, NEAR, WEIGHTS = slice(0, 3), 3, slice(4, 6), 6, slice(7, None)
LEFT_JAW, RIGHT_JAW = slice(0, 8), slice(9, 17)
Points = NDArray[np.float32]
Floats = NDArray[np.float64]
# OpenFace's guess of a camera: so many pixels of focal length for a picture of such a size.
FOCAL_PX, FOCAL_WIDTH, FOCAL_HEIGHT = 500.0, 640.0, 480.0


@dataclass(frozen=True)
class HeadView:
    """A view of a head: `rotation` `(3, 3)`; `scale` in pixels a millimetre at the head's
    centre; `centre` `(2,)`, where that is in the picture, in pixels."""

    rotation: Floats
    scale: float
    centre: Floats


@dataclass
class _Guess:
    """The unknowns between two steps, in units of the landmarks' size."""

    rotation: Floats
    scale: float
    shift: Floats
    nearness: float
    weights: Floats


class HeadModel:
    """The head: `mean` `(68, 3)` and `modes` `(68, 3, K)` in mm, `spread` `(68,)` what they miss.

    Its centre, which `HeadView` places, is the mean of the landmarks without the jaw.
    """

    def __init__(
        self,
        mean: NDArray[np.floating],
        modes: NDArray[np.floating],
        spread: NDArray[np.floating],
    ) -> None:
        inner = slice(REGIONS["jaw"].stop, N_POINTS)
        whole = np.asarray(mean, np.float64)
        self._mean = whole - whole[inner].mean(axis=0)
        self._modes = np.asarray(modes, np.float64).reshape(N_POINTS * 3, -1)
        # The same with the axis first: one product turns all modes.
        axes_first = np.asarray(modes, np.float64).transpose(1, 0, 2)
        self._turnable = np.ascontiguousarray(axes_first).reshape(3, -1)
        self._noise = np.hypot(NOISE_MM, np.asarray(spread, np.float64))
        self._noise[REGIONS["jaw"]] *= JAW_NOISE
        self._affine = self._affine_solver()
        self._count = WEIGHTS.start + self._modes.shape[1]
        self._prior = np.zeros(self._count)
        self._prior[NEAR], self._prior[WEIGHTS] = 1 / NEARNESS_SPREAD**2, 1.0
        self._expected = np.zeros(self._count)
        self._expected[NEAR] = NEARNESS

    def fit(self, landmarks: NDArray[np.floating]) -> HeadView:
        """Fit the view of landmarks `(68, 2)` in pixels; raises DegenerateShape without one."""
        points = np.asarray(landmarks, np.float64)
        _check_spread(points)
        middle = points.mean(axis=0)
        size = float(np.sqrt(((points - middle) ** 2).sum(axis=1).mean()))
        seen = (points - middle) / size
        try:
            guess = self._start(seen)
            for _ in range(STEPS):
                self._step(guess, seen.T)
        except np.linalg.LinAlgError as error:
            raise DegenerateShape("no head fits these landmarks") from error
        if not (np.isfinite(guess.rotation).all() and np.isfinite(guess.scale)):
            raise DegenerateShape("no head fits these landmarks")
        return HeadView(guess.rotation, guess.scale * size, guess.shift * size + middle)

    def _affine_solver(self) -> Floats:
        """Return `(4, 68)`: weighted least squares from landmarks to the affine view of the
        mean."""
        share = 1 / self._noise[:, None] ** 2
        lifted = np.hstack([self._mean, np.ones((N_POINTS, 1))])
        return np.asarray(np.linalg.solve((lifted * share).T @ lifted, (lifted * share).T))

    def _start(self, seen: Floats) -> _Guess:
        affine = (self._affine @ seen).T
        left, sizes, right = np.linalg.svd(affine[:, :3], full_matrices=False)
        x, y = (left @ right).tolist()
        z = [x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2], x[0] * y[1] - x[1] * y[0]]
        rotation = np.array([x, y, z])
        weights = np.zeros(self._modes.shape[1])
        return _Guess(rotation, float(sizes.mean()), affine[:, 3], NEARNESS, weights)

    def _step(self, guess: _Guess, seen: Floats) -> None:
        """Take one step of Gauss-Newton on `seen` `(2, 68)`, in place."""
        shape = (self._mean.ravel() + self._modes @ guess.weights).reshape(N_POINTS, 3)
        turned = guess.rotation @ shape.T
        modes = (guess.rotation @ self._turnable).reshape(3, N_POINTS, -1)
        slopes, projected = self._slopes(guess, turned, modes)
        errors = seen - projected - guess.shift[:, None]
        trust = self._trust(guess, errors)
        flat = slopes.reshape(2 * N_POINTS, -1)
        weighted = (slopes * trust[:, None]).reshape(2 * N_POINTS, -1)
        now = np.zeros(self._count)
        now[NEAR], now[WEIGHTS] = guess.nearness, guess.weights
        square = weighted.T @ flat
        # The diagonal: the prior keeps weights that the view does not show from running away.
        square.flat[:: self._count + 1] += self._prior
        pull = errors.ravel() @ weighted - self._prior * (now - self._expected)
        move = np.linalg.solve(square, pull)
        guess.rotation = _turn(move[ROTATION]) @ guess.rotation
        # As a logarithm the scale stays positive; a step far off must not run away.
        guess.scale *= float(np.exp(np.clip(move[ZOOM], -MOST_ZOOM, MOST_ZOOM)))
        guess.shift = guess.shift + move[SHIFT]
        guess.nearness = float(np.clip(guess.nearness + move[NEAR], FARTHEST, NEAREST))
        guess.weights = guess.weights + move[WEIGHTS]

    def _slopes(self, guess: _Guess, turned: Floats, modes: Floats) -> tuple[Floats, Floats]:
        """Return derivatives `(2, 68, parameters)` of projected points, and these `(2, 68)`."""
        x, y, z = turned
        depth = 1 / (1 + guess.nearness * z)
        factor = guess.scale * depth
        projected = turned[:2] * factor
        by_z = -projected * (guess.nearness * depth)
        slopes = np.zeros((2, N_POINTS, self._count))
        # A turn by w moves a point by w x (x, y, z).
        slopes[:, :, 0] = by_z * y
        slopes[1, :, 0] -= factor * z
        slopes[:, :, 1] = -by_z * x
        slopes[0, :, 1] += factor * z
        slopes[0, :, 2], slopes[1, :, 2] = -factor * y, factor * x
        slopes[:, :, ZOOM] = projected
        slopes[0, :, SHIFT.start] = slopes[1, :, SHIFT.start + 1] = 1
        slopes[:, :, NEAR] = -projected * (depth * z)
        slopes[:, :, WEIGHTS] = modes[:2] * factor[:, None] + by_z[:, :, None] * modes[2]
        return slopes, projected

    def _trust(self, guess: _Guess, errors: Floats) -> Floats:
        """Weigh the landmarks `(68,)`: less those that lie far off or on the far jaw."""
        noise = self._noise * guess.scale
        sideways = guess.rotation[0, 2]
        far_jaw = LEFT_JAW if sideways > 0 else RIGHT_JAW
        noise[far_jaw] *= 1 + FAR_JAW_NOISE * min(2 * abs(sideways), 1.0)
        return np.asarray(1 / (noise**2 + (errors**2).sum(axis=0) / OUTLIER))


def _turn(vector: NDArray[np.floating]) -> Floats:
    """Return the rotation by the length of a vector, in radians, about it (Rodrigues)."""
    angle = float(np.sqrt(vector @ vector))
    if angle == 0:
        return np.eye(3)
    x, y, z = vector / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)


def _check_spread(points: Floats) -> None:
    if points.shape != (N_POINTS, 2) or not np.isfinite(points).all():
        raise DegenerateShape(f"needed are {N_POINTS} finite landmarks, found {points.shape}")
    x, y = (points - points.mean(axis=0)).T
    # Of two axes the squares of the singular values have a closed form.
    half, rest = (x @ x + y @ y) / 2, np.hypot((x @ x - y @ y) / 2, x @ y)
    if half - rest <= 1e-6 * (half + rest):
        raise DegenerateShape("the landmarks lie on a line or in one place")


@dataclass(frozen=True)
class HeadPose:
    """Angles in degrees, signs as this module's first lines say.

    `position_mm` is the head's centre, the mean of its landmarks without the jaw, from the camera.
    """

    pitch_deg: float
    yaw_deg: float
    roll_deg: float
    position_mm: tuple[float, float, float] | None = None

    @classmethod
    def from_rotation(
        cls, rotation: Floats, position_mm: tuple[float, float, float] | None = None
    ) -> "HeadPose":
        """Return the angles of a rotation matrix `(3, 3)`; yaw lies in [-90, 90]."""
        pitch = np.arctan2(-rotation[1, 2], rotation[2, 2])
        # Rounding can bring the sine beyond 1.
        yaw = np.arcsin(np.clip(rotation[0, 2], -1.0, 1.0))
        roll = np.arctan2(-rotation[0, 1], rotation[0, 0])
        pitch_deg, yaw_deg, roll_deg = np.degrees([pitch, yaw, roll]).tolist()
        return cls(pitch_deg, yaw_deg, roll_deg, position_mm)

    def to_rotation(self) -> Floats:
        """Return the rotation matrix `(3, 3)` from the head's axes to the camera's."""
        (cp, cy, cr), (sp, sy, sr) = (
            turn(np.radians([self.pitch_deg, self.yaw_deg, self.roll_deg]))
            for turn in (np.cos, np.sin)
        )
        about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
        about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
        return np.asarray(about_x @ about_y @ about_z, np.float64)


class PoseEstimator:
    """Head pose by fitting a head that changes shape."""

    def __init__(self, head: HeadModel) -> None:
        self._head = head

    def estimate(self, landmarks: Points, width: int, height: int) -> HeadPose:
        """Estimate the pose of landmarks `(68, 2)` in pixels of a picture `width` x `height`.

        The picture's size has a say in the place alone. Raises DegenerateShape when the landmarks
        span no plane.
        """
        view = self._head.fit(landmarks)
        return HeadPose.from_rotation(view.rotation, _position(view, width, height))


def assumed_focal_px(width: int, height: int) -> float:
    """Return the focal length in pixels that is assumed for a picture, as OpenFace does."""
    return FOCAL_PX * (width / FOCAL_WIDTH + height / FOCAL_HEIGHT) / 2


def _position(view: HeadView, width: int, height: int) -> tuple[float, float, float]:
    away = assumed_focal_px(width, height) / view.scale
    x, y = (view.centre - (width / 2, height / 2)) / view.scale
    return float(x), float(y), float(away)
