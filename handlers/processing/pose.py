"""Where a head looks: 68 landmarks and a mean shape in three dimensions to three angles.

The axes are those of the camera: x to the image's right, y down, z away from the camera; the
rotation is `Rx(pitch) @ Ry(yaw) @ Rz(roll)`, as OpenFace has it (Baltrusaitis et al. 2018). So

    pitch > 0   the head nods down
    yaw > 0     the nose turns to the image's left, towards the person's own right
    roll > 0    the head tilts clockwise as seen in the image

and zero is the attitude of the mean shape, the mean one of photographed faces.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from handlers.processing.landmarks import N_POINTS, REGIONS
from handlers.processing.similarity import DegenerateShape

Points = NDArray[np.float32]
Floats = NDArray[np.float64]

CHIN = 8
INNER = list(range(REGIONS["jaw"].stop, N_POINTS))
LEFT_SIDE = [*range(CHIN + 1), *INNER]  # as seen in the image
RIGHT_SIDE = [*range(CHIN, REGIONS["jaw"].stop), *INNER]
BOTH_SIDES = list(range(N_POINTS))

# Beyond some yaw the far side of the jaw is hidden and its landmarks slide along the contour:
# they lose their say between these angles.
FAR_JAW_FADES_DEG = (4.0, 12.0)


@dataclass(frozen=True)
class HeadPose:
    """Angles in degrees, signs as this module's first lines say."""

    pitch_deg: float
    yaw_deg: float
    roll_deg: float

    @classmethod
    def from_rotation(cls, rotation: Floats) -> "HeadPose":
        """The angles of a rotation matrix `(3, 3)`; yaw lies in [-90, 90]."""
        pitch = np.arctan2(-rotation[1, 2], rotation[2, 2])
        yaw = np.arcsin(np.clip(rotation[0, 2], -1.0, 1.0))
        roll = np.arctan2(-rotation[0, 1], rotation[0, 0])
        return cls(*(float(np.degrees(angle)) for angle in (pitch, yaw, roll)))

    def to_rotation(self) -> Floats:
        """The rotation matrix `(3, 3)` from the mean shape's axes to the camera's."""
        angles = np.radians([self.pitch_deg, self.yaw_deg, self.roll_deg])
        turns = [
            cv2.Rodrigues(angle * axis)[0] for angle, axis in zip(angles, np.eye(3), strict=True)
        ]
        return np.asarray(turns[0] @ turns[1] @ turns[2], np.float64)


class PoseEstimator:
    """Head pose by perspective-n-point on a mean shape `(68, 3)` in the axes above, in any unit."""

    def __init__(self, mean_shape_3d: NDArray[np.floating]) -> None:
        self.shape = np.ascontiguousarray(mean_shape_3d, np.float64)

    def estimate(
        self, landmarks: Points, width: int, height: int, focal: float | None = None
    ) -> HeadPose:
        """The pose of landmarks `(68, 2)` in pixels of a picture `width` x `height`.

        `focal` is the camera's focal length in pixels; unknown, the longer side stands for it.
        Raises DegenerateShape when the landmarks span no plane.
        """
        camera = _camera(width, height, focal or max(width, height))
        points = np.ascontiguousarray(landmarks, np.float64)
        _check_spread(points)
        whole = self._solve(points, camera, BOTH_SIDES)
        near_side = RIGHT_SIDE if whole.yaw_deg > 0 else LEFT_SIDE
        start, end = FAR_JAW_FADES_DEG
        fade = float(np.clip((abs(whole.yaw_deg) - start) / (end - start), 0.0, 1.0))
        return whole if fade == 0 else _blend(whole, self._solve(points, camera, near_side), fade)

    def _solve(self, points: Floats, camera: Floats, used: list[int]) -> HeadPose:
        shape, image = self.shape[used], points[used]
        try:
            found, turn, shift = cv2.solvePnP(shape, image, camera, None, flags=cv2.SOLVEPNP_SQPNP)
        except cv2.error as error:
            raise DegenerateShape("no head pose fits these landmarks") from error
        if not found or not np.isfinite(turn).all():
            raise DegenerateShape("no head pose fits these landmarks")
        turn, _ = cv2.solvePnPRefineLM(shape, image, camera, None, turn, shift)
        return HeadPose.from_rotation(np.asarray(cv2.Rodrigues(turn)[0], np.float64))


def _camera(width: int, height: int, focal: float) -> Floats:
    return np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])


def _check_spread(points: Floats) -> None:
    if points.shape != (N_POINTS, 2) or not np.isfinite(points).all():
        raise DegenerateShape(f"needed are {N_POINTS} finite landmarks, found {points.shape}")
    spread = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
    if spread[1] <= 1e-3 * spread[0]:
        raise DegenerateShape("the landmarks lie on a line or in one place")


def _blend(one: HeadPose, other: HeadPose, share: float) -> HeadPose:
    """The rotation on the way from one pose to the other, `share` in [0, 1] of it."""
    start = one.to_rotation()
    step, _ = cv2.Rodrigues(start.T @ other.to_rotation())
    return HeadPose.from_rotation(start @ cv2.Rodrigues(step * share)[0])
