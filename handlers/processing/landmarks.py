"""The 68-point landmark scheme of iBUG 300-W: regions, mirror image, box, trust, and Procrustes.

Procrustes is the similarity between two landmark shapes; it cuts out the upright face.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handlers.processing.boxes import Crop

Image = NDArray[np.uint8]
# The mean shape lives in the pixels of an upright face picture of this size.
FRAME_SIZE = 128
SMALLEST_SPREAD = 1e-6
Points = NDArray[np.float32]
N_POINTS = 68
REGIONS: dict[str, slice] = {
    "jaw": slice(0, 17),
    "brows": slice(17, 27),
    "nose": slice(27, 36),
    "eyes": slice(36, 48),
    "lips": slice(48, 68),
}
OUTER_EYE_CORNERS = (36, 45)
# MIRROR[i] is the point that takes the place of point i when the picture is flipped left to right.
MIRROR: NDArray[np.int64] = np.array(
    [
        *range(16, -1, -1),
        *range(26, 16, -1),
        *range(27, 31),
        *range(35, 30, -1),
        *(45, 44, 43, 42, 47, 46),
        *(39, 38, 37, 36, 41, 40),
        *(54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55),
        *(64, 63, 62, 61, 60, 67, 66, 65),
    ]
)
SHARP_FACE_PX = 64.0
DEGRADED_TRUST = SMALL_TRUST = 0.5
# Measured with DFA's landmarks: what a detector takes for a face in pictures without one, and faces
# looked at in a wrong direction, stay below; blurred, noisy, dark and 16-pixel faces above.
LEAST_QUALITY = 0.15


class DegenerateShape(ValueError):
    """Landmarks that span nothing (all in one place or not finite), so no geometry fits them."""


@dataclass(frozen=True)
class Similarity:
    """Scale, turn and shift from a source plane to a target plane.

    `target = scale * R(rotation_deg) @ source + translation`; with y pointing down, a positive
    rotation turns clockwise as seen. `translation` is in target pixels.
    """

    scale: float
    rotation_deg: float
    translation: tuple[float, float]

    @classmethod
    def fit(cls, source: Points, target: Points) -> "Similarity":
        """Fit the least-squares similarity without reflection of points `(N, 2)` (Umeyama 1991).

        Raises DegenerateShape when either set is not finite or lies in one place.
        """
        a, a_mean = _centred(source, "source")
        b, b_mean = _centred(target, "target")
        # In the plane: with points as complex numbers, one factor is both scale and turn.
        along, across = float((a * b).sum()), float((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum())
        scale = float(np.hypot(along, across) / (a**2).sum())
        # Not `<= 0`: NaN is refused, too.
        if not scale > 0:
            raise DegenerateShape(
                "source and target have no similarity: their shapes are unrelated"
            )
        turn = cls(scale, float(np.degrees(np.arctan2(across, along))), (0.0, 0.0))
        x, y = b_mean - turn.linear() @ a_mean
        return cls(turn.scale, turn.rotation_deg, (float(x), float(y)))

    def linear(self) -> NDArray[np.float64]:
        """Return scale and turn as a 2 x 2 matrix."""
        angle = np.radians(self.rotation_deg)
        cosine, sine = np.cos(angle), np.sin(angle)
        return self.scale * np.array([[cosine, -sine], [sine, cosine]])

    def to_target(self, points: Points) -> Points:
        """Map points `(..., 2)` from the source plane to the target plane."""
        return np.asarray(points @ self.linear().T + self.translation, np.float32)

    def from_target(self, points: Points) -> Points:
        """Map points `(..., 2)` from the target plane to the source plane."""
        inverse = np.linalg.inv(self.linear())
        return np.asarray((points - np.asarray(self.translation)) @ inverse.T, np.float32)

    def extract(self, image: Image, size: int = FRAME_SIZE) -> Image:
        """Cut `size` x `size` pixels out of the target plane, uint8 RGB; black off the picture."""
        middle = np.full(2, (size - 1) / 2, np.float32)
        x, y = self.from_target(middle)
        turn = -float(np.radians(self.rotation_deg))
        return Crop((float(x), float(y)), size / self.scale, size, turn).extract(image)


def procrustes_mean(shapes: NDArray[np.floating], rounds: int = 10) -> NDArray[np.float64]:
    """Compute the Procrustes mean `(N, 2)` of shapes `(M, N, 2)`, centred, of unit RMS radius.

    Raises DegenerateShape when a shape is not finite or lies in one place.
    """
    planes = np.stack([_complex(_centred(shape, "shape")[0]) for shape in shapes])
    mean = planes[0]
    for _ in range(rounds):
        factors = (planes.conj() @ mean) / (abs(planes) ** 2).sum(axis=1)
        mean = (factors[:, None] * planes).mean(axis=0)
        # Without a fixed size every round would shrink the mean.
        mean /= np.sqrt((abs(mean) ** 2).mean())
    return np.stack([mean.real, mean.imag], axis=1)


def _complex(points: NDArray[np.float64]) -> NDArray[np.complex128]:
    return points[:, 0] + 1j * points[:, 1]


def _centred(
    points: NDArray[np.floating], name: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    wide = np.asarray(points, np.float64)
    if wide.ndim != 2 or wide.shape[1] != 2 or not wide.size or not np.isfinite(wide).all():
        raise DegenerateShape(f"{name} needs finite points (N, 2), found an array {wide.shape}")
    mean = wide.mean(axis=0)
    if np.abs(wide - mean).max(initial=0.0) < SMALLEST_SPREAD:
        raise DegenerateShape(f"{name} has all its points in one place, near {mean.round(3)}")
    return wide - mean, mean


def mirror(points: Points, width: float) -> Points:
    """Return landmarks `(..., 68, 2)` of the picture flipped left to right; `width` in pixels.

    Two more points, the irises, may follow the 68.
    """
    order = MIRROR if points.shape[-2] == N_POINTS else [*MIRROR, N_POINTS + 1, N_POINTS]
    flipped = points[..., order, :].copy()
    flipped[..., 0] = width - 1 - flipped[..., 0]
    return flipped


def bounding_box(points: Points) -> NDArray[np.float32]:
    """Return the tight box `(x1, y1, x2, y2)` around landmarks `(68, 2)` (eq. 2.4, 4.5)."""
    box = np.empty(4, np.float32)
    box[:2], box[2:] = np.minimum.reduce(points), np.maximum.reduce(points)
    return box


def landmark_quality(
    confidence: float, score: float | None, landmarks: NDArray[np.float32], clean: float
) -> float:
    """Compute the quality of landmarks in [0, 1], a product of four factors.

    `confidence` of the landmark network; the detector's `score`, None for a box that the caller
    gave; the longer side of the landmarks' box, full from 64 pixels on, half for a point; and the
    probability `clean` that nothing degrades the face: a surely degraded one counts half.
    """
    box = bounding_box(landmarks)
    sharp = min(float((box[2:] - box[:2]).max()) / SHARP_FACE_PX, 1.0)
    size = SMALL_TRUST + (1 - SMALL_TRUST) * sharp
    trust = DEGRADED_TRUST + (1 - DEGRADED_TRUST) * clean
    product = confidence * (1.0 if score is None else score) * size * trust
    return float(np.clip(product, 0.0, 1.0))
