"""Grey faces with labels to batches of moved, tinted and degraded crops in colour."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from handlers.training.affect.losses import class_weights
from handlers.training.datasets.affect.circumplex import WORDS, soft_quadrants
from handlers.training.datasets.affect.records import AffectFaces
from handlers.training.faces import Degrading, to_tensor
from handlers.training.loop import Batch

Image = NDArray[np.uint8]

CROP_PX = 128
BORDERS = (cv2.BORDER_REPLICATE, cv2.BORDER_CONSTANT, cv2.BORDER_REFLECT)


@dataclass(frozen=True)
class Moving:
    """How far a face is moved in its crop, lengths as shares of the crop's side.

    `shift_y` is the range of moves downwards: a serving crop, centred on the landmarks, shows a
    face about 0.12 higher than the sets' own framing.
    """

    angle_deg: float = 12.0
    scale: tuple[float, float] = (0.9, 1.12)
    shift_x: float = 0.05
    shift_y: tuple[float, float] = (-0.13, 0.04)
    gain: float = 0.3
    tint: float = 0.08


@dataclass(frozen=True)
class FaceSet:
    """Faces and the share of a batch drawn from them."""

    faces: AffectFaces
    share: float


class FaceBatches:
    """Draws batches for `LatentLearner`: crops clean and as seen, labels, quadrants, weights."""

    def __init__(
        self, sets: Sequence[FaceSet], moving: Moving, degrading: Degrading | None, power: float
    ) -> None:
        self.sets, self.moving, self.degrading = sets, moving, degrading
        labels = np.concatenate([one.faces.labels for one in sets])
        split = np.cumsum([len(one.faces) for one in sets])[:-1]
        self.weights = np.split(class_weights(labels, power), split)
        shares = np.array([one.share for one in sets])
        self.shares = shares / shares.sum()

    def __call__(self, rng: np.random.Generator, size: int) -> Batch:
        """`clean` and `seen` `(B, 3, 128, 128)` in [-1, 1], `label` and `weight` `(B, 2)`,
        `quadrant` `(B, 4)`, `word` `(B,)`."""
        clean, seen, labels, weights, words = [], [], [], [], []
        for group in rng.choice(len(self.sets), size, p=self.shares):
            faces = self.sets[group].faces
            index = int(rng.integers(len(faces)))
            crop = tinted(moved(faces.images[index], self.moving, rng), self.moving, rng)
            clean.append(crop)
            seen.append(self._degraded(crop, rng))
            labels.append(faces.labels[index])
            weights.append(self.weights[group][index])
            words.append(WORDS.index(faces.emotions[index]))
        stacked = np.stack(labels)
        return {
            "clean": to_tensor(clean),
            "seen": to_tensor(seen),
            "label": torch.from_numpy(stacked),
            "weight": torch.from_numpy(np.stack(weights)),
            "quadrant": torch.from_numpy(soft_quadrants(stacked)),
            "word": torch.tensor(words),
        }

    def _degraded(self, crop: Image, rng: np.random.Generator) -> Image:
        return crop if self.degrading is None else self.degrading(crop, CROP_PX / 1.2, rng)[0]


def whole(image: Image) -> Image:
    """A grey face as its set frames it: `(S, S)` -> `(128, 128, 3)`."""
    big = cv2.resize(image, (CROP_PX, CROP_PX), interpolation=cv2.INTER_LINEAR)
    return np.repeat(np.asarray(big, np.uint8)[:, :, None], 3, axis=2)


def moved(image: Image, moving: Moving, rng: np.random.Generator) -> Image:
    """A face `(S, S)`, grey or in colour, turned, scaled, shifted, mirrored in a crop of 128."""
    side = image.shape[0]
    angle = np.radians(rng.normal(0, moving.angle_deg / 2))
    scale = rng.uniform(*moving.scale) * CROP_PX / side
    linear = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    if rng.random() < 0.5:
        linear = linear @ np.diag([-1.0, 1.0])
    shift = CROP_PX * np.array(
        [rng.uniform(-moving.shift_x, moving.shift_x), rng.uniform(*moving.shift_y)]
    )
    offset = (CROP_PX - 1) / 2 + shift - linear @ np.full(2, (side - 1) / 2)
    matrix = np.hstack([linear, offset[:, None]])
    border = int(rng.choice(BORDERS))
    size = (CROP_PX, CROP_PX)
    return np.asarray(
        cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=border), np.uint8
    )


def tinted(grey: Image, moving: Moving, rng: np.random.Generator) -> Image:
    """A grey crop in the light and colours of a camera: `(H, W)` -> `(H, W, 3)`.

    Half of the crops stay grey; colour pictures are what is served, and none is in the sets.
    """
    return np.asarray(_light(moving, rng)[grey], np.uint8)


def relit(crop: Image, moving: Moving, rng: np.random.Generator) -> Image:
    """A crop in colour `(H, W, 3)` in other light; half of them keep their colours."""
    return np.asarray(cv2.LUT(crop, _light(moving, rng)[None]), np.uint8)


def _light(moving: Moving, rng: np.random.Generator) -> Image:
    """What becomes of every shade in every channel, `(256, 3)`."""
    gain = np.exp(rng.normal(0, moving.gain / 2))
    shift = rng.normal(0, 12)
    gains = np.exp(rng.normal(0, moving.tint, 3)) if rng.random() < 0.5 else np.ones(3)
    shades = np.arange(256)[:, None] * gain * gains + shift
    return np.asarray(np.clip(shades, 0, 255), np.uint8)
