"""Grey framed faces with labels to batches of moved, tinted and degraded crops in colour."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch

from handlers.networks.variants import EXPRESSIONS
from handlers.processing.arrays import Doubles, Image
from handlers.store import load_aligner
from handlers.training.affect.losses import class_weights
from handlers.training.affect.made.looks import relight, spoil
from handlers.training.datasets.affect.pictures import crop_framed, frame_faces
from handlers.training.datasets.affect.records import (
    WORDS,
    AffectFaces,
    soft_quadrants,
    word_weights,
)
from handlers.training.faces import Degrading, to_tensor
from handlers.training.loop import Batch

CROP_PX = 128
# Pictures of framed faces are so many times as wide as served crops.
MARGIN = 1.25
# The share of faces that a worse camera or channel shows, where any are degraded.
SPOILT = 0.4
BORDERS = (cv2.BORDER_REPLICATE, cv2.BORDER_CONSTANT, cv2.BORDER_REFLECT)
# Where each of WORDS stands among those of faces, and whether it does.
PLACES_OF_WORDS = [EXPRESSIONS.index(word) if word in EXPRESSIONS else 0 for word in WORDS]
KNOWN_WORDS = np.array([word in EXPRESSIONS for word in WORDS], np.float32)
BOXES = "boxes"
FRAMED_PX = 96


@dataclass(frozen=True)
class FaceJitter:
    """Limits of moving a face in its crop, lengths as shares of the crop's side; `scale` is over
    that of a served crop."""

    angle_deg: float = 16.0
    scale: tuple[float, float] = (0.85, 1.15)
    shift_x: float = 0.07
    shift_y: tuple[float, float] = (-0.07, 0.07)
    gain: float = 0.3
    tint: float = 0.08


@dataclass(frozen=True)
class WeightedFaces:
    """Faces and the share of a batch drawn from them."""

    faces: AffectFaces
    share: float


class FaceBatches:
    """Draws batches for `LatentLearner`: crops clean and as seen, labels, quadrants, weights.

    Faces are framed, see `Framing`. Of each set, a face whose word n others have is drawn n to the
    power `drawing` times as often as one alone.
    """

    def __init__(
        self,
        sets: Sequence[WeightedFaces],
        moving: FaceJitter,
        degrading: Degrading | None,
        power: float,
        drawing: float = 0.0,
    ) -> None:
        self.sets, self.moving, self.degrading = sets, moving, degrading
        self.drawn = [drawn_by_word(one.faces.emotions, drawing) for one in sets]
        labels = np.concatenate([one.faces.labels for one in sets])
        split = np.cumsum([len(one.faces) for one in sets])[:-1]
        self.weights = np.split(class_weights(labels, power), split)
        shares = np.array([one.share for one in sets])
        self.shares = shares / shares.sum()

    def __call__(self, rng: np.random.Generator, size: int) -> Batch:
        """Return `clean` and `seen` `(B, 3, 128, 128)` in [-1, 1], `label` and `weight` `(B, 2)`,
        `quadrant` `(B, 4)`, `word` `(B,)` and the shares of all WORDS, `words`."""
        clean, seen, labels, weights, words, shares = [], [], [], [], [], []
        for group in rng.choice(len(self.sets), size, p=self.shares):
            faces = self.sets[group].faces
            index = int(np.searchsorted(self.drawn[group], rng.random()))
            grey = relight(moved(faces.images[index], self.moving, rng, MARGIN), rng)
            light = _light(self.moving, rng)
            clean.append(light[grey])
            seen.append(self._degraded(grey, light, rng))
            shares.append(faces.shares[index])
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
            "words": torch.from_numpy(np.stack(shares)[:, PLACES_OF_WORDS] * KNOWN_WORDS),
        }

    def _degraded(self, grey: Image, light: Image, rng: np.random.Generator) -> Image:
        if self.degrading is None:
            return light[grey]
        if rng.random() < SPOILT:
            grey = spoil(grey, rng)
        return self.degrading(light[grey], CROP_PX / 1.2, rng)[0]


def drawn_by_word(words: Sequence[str], power: float) -> Doubles:
    """Place each face's end on a line of length 1, to be hit by chance."""
    ends = np.cumsum(word_weights(words, power))
    return np.asarray(ends / ends[-1])


def moved(image: Image, moving: FaceJitter, rng: np.random.Generator, margin: float = 1.0) -> Image:
    """Return a face `(S, S)`, grey or in colour, turned, scaled, shifted, mirrored in a crop of
    128.

    The picture is `margin` times as wide as a served crop.
    """
    side = image.shape[0]
    angle = np.radians(rng.normal(0, moving.angle_deg / 2))
    scale = rng.uniform(*moving.scale) * margin * CROP_PX / side
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


def tinted(grey: Image, moving: FaceJitter, rng: np.random.Generator) -> Image:
    """Return a grey crop in the light and colours of a camera: `(H, W)` -> `(H, W, 3)`.

    Half of the crops stay grey; colour pictures are what is served, and none is in the sets.
    """
    return np.asarray(_light(moving, rng)[grey], np.uint8)


def relit(crop: Image, moving: FaceJitter, rng: np.random.Generator) -> Image:
    """Return a crop in colour `(H, W, 3)` in other light; half of them keep their colours."""
    return np.asarray(cv2.LUT(crop, _light(moving, rng)[None]), np.uint8)


def _light(moving: FaceJitter, rng: np.random.Generator) -> Image:
    """Map every shade in every channel, `(256, 3)`."""
    gain = np.exp(rng.normal(0, moving.gain / 2))
    shift = rng.normal(0, 12)
    gains = np.exp(rng.normal(0, moving.tint, 3)) if rng.random() < 0.5 else np.ones(3)
    shades = np.arange(256)[:, None] * gain * gains + shift
    return np.asarray(np.clip(shades, 0, 255), np.uint8)


@dataclass(frozen=True)
class Framing:
    """Frames the faces of sets, with a margin to be moved about in.

    `aligner` is the model store whose `dfa` finds the faces' landmarks, `kept` the folder in which
    their boxes are kept, `context` the served crop's side over that of such a box.
    """

    aligner: Path
    kept: Path
    context: float

    def __call__(self, faces: AffectFaces) -> AffectFaces:
        """Return the same faces in pictures that are `MARGIN` times as wide as served crops."""
        boxes = find_boxes(faces, self.aligner, self.kept)
        crops = [
            crop_framed(image, box, self.context * MARGIN, FRAMED_PX)[:, :, 0]
            for image, box in zip(faces.images, boxes, strict=True)
        ]
        return replace(faces, images=np.stack(crops))


def find_boxes(faces: AffectFaces, aligner: Path, kept: Path) -> Sequence[np.ndarray]:
    """Find the boxes of the landmarks `(N, 4)` of a set's faces, found once and kept in a
    folder."""
    file = kept / f"{hashlib.sha256(faces.images.tobytes()).hexdigest()[:16]}.npy"
    if not file.is_file():
        predictor = load_aligner(aligner, "dfa").predictor
        kept.mkdir(parents=True, exist_ok=True)
        np.save(file, frame_faces(list(faces.images), predictor))
    return list(np.load(file, allow_pickle=False))
