"""Annotated photographs to upright faces with soft borders, ready to be laid over a background."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from handlers.processing.arrays import Floats, Image
from handlers.processing.boxes import Crop
from handlers.processing.landmarks import bounding_box, mirror
from handlers.training.datasets.folders import FaceSample, read_picture
from handlers.training.synthetic.fields import uncross_lips

REACH = 2.2  # side of the picture in sides of the landmark box


@dataclass(frozen=True, eq=False)
class Still:
    """One face, upright, in the middle of a square picture.

    `picture` uint8 `(S, S, 4)` RGB and how opaque it is: nothing beyond the photograph's border.
    `points` float32 `(68, 2)` in its pixels.
    """

    picture: Image
    points: Floats

    @property
    def size(self) -> int:
        return len(self.picture)

    @property
    def unit(self) -> float:
        """The face's width in pixels: the root of the area of its landmark box."""
        return float(np.sqrt(np.prod(np.ptp(self.points, axis=0))))

    @property
    def centre(self) -> Floats:
        """The middle of the landmark box."""
        box = bounding_box(self.points)
        return np.asarray((box[:2] + box[2:]) / 2, np.float32)

    def mirrored(self) -> "Still":
        """Return the face flipped left to right."""
        picture = np.ascontiguousarray(self.picture[:, ::-1])
        return Still(picture, mirror(self.points, self.size))

    @property
    def is_whole(self) -> bool:
        """Whether the photograph shows all of the face, but for a landmark or two."""
        x, y = np.rint(self.points).astype(int).clip(0, self.size - 1).T
        return bool((self.picture[y, x, 3] > 127).sum() >= len(x) - 2)


class Stills:
    """Faces of several sets, read when they are first asked for, and kept.

    `sets` are faces and the share of draws that each gets; a landmark box measures at most
    `face_px` pixels.
    """

    def __init__(self, sets: Sequence[tuple[Sequence[FaceSample], float]], face_px: int) -> None:
        if not sets or not all(samples for samples, _ in sets):
            raise ValueError("made videos need at least one face of every set")
        self.face_px = face_px
        self._sets = [samples for samples, _ in sets]
        shares = np.array([share for _, share in sets])
        self._shares = shares / shares.sum()
        self._kept: dict[tuple[int, int], Still] = {}

    def draw(self, rng: np.random.Generator) -> Still:
        """Draw a random face."""
        group = int(rng.choice(len(self._sets), p=self._shares))
        return self.get(group, int(rng.integers(len(self._sets[group]))))

    def draw_whole(self, rng: np.random.Generator) -> Still:
        """Draw a random face that its photograph does not cut off, if one is met soon."""
        for _ in range(20):
            still = self.draw(rng)
            if still.is_whole:
                break
        return still

    def get(self, group: int, index: int) -> Still:
        """Return one face of one set."""
        key = group, index
        if key not in self._kept:
            self._kept[key] = read_still(self._sets[group][index], self.face_px)
        return self._kept[key]


def read_still(sample: FaceSample, face_px: int) -> Still:
    """Cut a face upright out of its photograph; it is made smaller if need be, never larger.

    Raises ValueError for a picture that cannot be decoded.
    """
    image = read_picture(sample.image_path)
    eyes = sample.landmarks[42:48].mean(axis=0) - sample.landmarks[36:42].mean(axis=0)
    angle = float(np.arctan2(eyes[1], eyes[0]))
    upright = Crop((0.0, 0.0), 1.0, 1, angle)
    box = bounding_box(upright.to_crop(sample.landmarks))
    x, y = upright.from_crop(np.asarray((box[:2] + box[2:]) / 2, np.float32))
    side = float((box[2:] - box[:2]).max()) * REACH
    crop = Crop((float(x), float(y)), side, min(round(side), round(face_px * REACH)), angle)
    inside = crop.extract(np.full_like(image, 255))[..., :1]
    picture = np.concatenate([crop.extract(image), soften(inside, crop.size // 16)], axis=2)
    return Still(picture, uncross_lips(crop.to_crop(sample.landmarks)))


def soften(inside: Image, border_px: int) -> Image:
    """Return a mask `(S, S, 1)` uint8 that fades towards the border of `inside`."""
    width = 2 * border_px + 1
    core = cv2.erode(
        (inside == 255).astype(np.uint8) * 255,
        np.ones((width, width), np.uint8),
        borderType=cv2.BORDER_CONSTANT,
        borderValue=0.0,
    )
    return np.asarray(cv2.GaussianBlur(core, (0, 0), border_px / 2.5), np.uint8)[..., None]


def cut_out(still: Still) -> Still:
    """Cut the same face without its surroundings: opaque within the head's outline only."""
    points, unit = still.points, still.unit
    rise = 0.5 * (points[8, 1] - points[17:27, 1].mean())
    forehead = points[17:27] - (0, rise)
    hull = cv2.convexHull(np.concatenate([points, forehead]).astype(np.float32))
    mask = np.zeros(still.picture.shape[:2], np.uint8)
    cv2.fillConvexPoly(mask, np.rint(hull).astype(np.int32), 255)
    width = 2 * round(0.06 * unit) + 1
    mask = np.asarray(cv2.dilate(mask, np.ones((width, width), np.uint8)), np.uint8)
    mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), 0.03 * unit), np.uint8)
    picture = still.picture.copy()
    picture[..., 3] = np.minimum(picture[..., 3], mask)
    return Still(picture, points)
