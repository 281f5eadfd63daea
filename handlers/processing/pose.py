"""Head pose: 68 landmarks to three angles and a place in millimetres.

The axes are those of the camera: x to the image's right, y down, z away from the camera; the
rotation is `Rx(pitch) @ Ry(yaw) @ Rz(roll)`, as OpenFace has it (Baltrusaitis et al. 2018). So

    pitch > 0   the head nods down
    yaw > 0     the nose turns to the image's left, towards the person's own right
    roll > 0    the head tilts clockwise as seen in the image

and zero is a head upright and straight ahead: docs/head-pose.md has a picture of it. Angles are
those towards a camera that looks straight at the face, so the same face has the same angles at any
place of any picture. The place needs the picture's camera: see `assumed_focal_px`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handlers.processing.head import HeadModel, HeadView

Points = NDArray[np.float32]
Floats = NDArray[np.float64]

# OpenFace's guess of a camera: so many pixels of focal length for a picture of such a size.
FOCAL_PX, FOCAL_WIDTH, FOCAL_HEIGHT = 500.0, 640.0, 480.0


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
        """The angles of a rotation matrix `(3, 3)`; yaw lies in [-90, 90]."""
        pitch = np.arctan2(-rotation[1, 2], rotation[2, 2])
        yaw = np.arcsin(np.clip(rotation[0, 2], -1.0, 1.0))
        roll = np.arctan2(-rotation[0, 1], rotation[0, 0])
        pitch_deg, yaw_deg, roll_deg = np.degrees([pitch, yaw, roll]).tolist()
        return cls(pitch_deg, yaw_deg, roll_deg, position_mm)

    def to_rotation(self) -> Floats:
        """The rotation matrix `(3, 3)` from the head's axes to the camera's."""
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
        """The pose of landmarks `(68, 2)` in pixels of a picture `width` x `height`.

        The picture's size has a say in the place alone. Raises DegenerateShape when the landmarks
        span no plane.
        """
        view = self._head.fit(landmarks)
        return HeadPose.from_rotation(view.rotation, _position(view, width, height))


def assumed_focal_px(width: int, height: int) -> float:
    """The focal length of the camera that is assumed for a picture, OpenFace's, in pixels."""
    return FOCAL_PX * (width / FOCAL_WIDTH + height / FOCAL_HEIGHT) / 2


def _position(view: HeadView, width: int, height: int) -> tuple[float, float, float]:
    away = assumed_focal_px(width, height) / view.scale
    x, y = (view.centre - (width / 2, height / 2)) / view.scale
    return float(x), float(y), float(away)
