"""Annotated faces held in memory, and batches of augmented crops drawn from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handlers.processing.boxes import Crop
from handlers.processing.degradations import LEVELS, degrade
from handlers.processing.landmarks import bounding_box
from handlers.training.augmentation import Augmentation
from handlers.training.datasets.pts import read_pts

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Source:
    """A folder of pictures with `.pts` beside them and the share of a batch drawn from it."""

    folder: str
    share: float


class FaceBank:
    """The faces of several sources, cut to twice their box and at most `limit` pixels."""

    def __init__(self, root: Path, sources: Sequence[Source], limit: int = 300) -> None:
        self.images: list[Image] = []
        self.points: list[Floats] = []
        self.members: list[NDArray[np.int64]] = []
        for source in sources:
            paths = sorted((root / source.folder).rglob("*.pts"))
            if not paths:
                raise FileNotFoundError(f"no .pts file under {root / source.folder}")
            first = len(self.images)
            for path in paths:
                self._add(path, limit)
            self.members.append(np.arange(first, len(self.images)))
        shares = np.array([source.share for source in sources])
        self.shares = shares / shares.sum()

    def _add(self, path: Path, limit: int) -> None:
        picture = next(p for s in (".jpg", ".png") if (p := path.with_suffix(s)).exists())
        loaded = cv2.imread(str(picture), cv2.IMREAD_COLOR)
        if loaded is None:
            raise ValueError(f"{picture}: no picture that can be read")
        image = cv2.cvtColor(loaded, cv2.COLOR_BGR2RGB)
        points = read_pts(path)
        crop = Crop.around(bounding_box(points), context=2.2)
        size = min(round(crop.side), limit)
        crop = Crop(crop.centre, crop.side, size)
        self.images.append(crop.extract(np.asarray(image, np.uint8)))
        self.points.append(crop.to_crop(points))

    def draw(
        self, rng: np.random.Generator, count: int, augmentation: Augmentation
    ) -> tuple[list[Image], Floats]:
        """Random crops and their landmarks `(count, 68, 2)` in crop pixels."""
        crops, points = [], []
        for group in rng.choice(len(self.members), count, p=self.shares):
            index = int(rng.choice(self.members[group]))
            crop, moved = augmentation(self.images[index], self.points[index], rng)
            crops.append(crop)
            points.append(moved)
        return crops, np.stack(points)


@dataclass(frozen=True)
class Degrading:
    """Which degradations a crop may suffer.

    `kinds` maps the name of a class to the degradations that it stands for, as `degrade` names
    them; class 0 is clean and makes up the share `clean`, the others are equally frequent.
    """

    kinds: dict[str, tuple[str, ...]]
    clean: float = 0.2

    def __call__(self, crop: Image, face_px: float, rng: np.random.Generator) -> tuple[Image, int]:
        """A degraded copy and its class."""
        if rng.random() < self.clean:
            return crop, 0
        label = int(rng.integers(len(self.kinds)))
        name = str(rng.choice(list(self.kinds.values())[label]))
        return degrade(crop, name, draw_level(name, rng), rng, face_px), label + 1


def draw_level(name: str, rng: np.random.Generator) -> float:
    """One of the thesis's levels, or in half of the cases one between the least and the most."""
    levels = LEVELS[name]
    if rng.random() < 0.5:
        return float(rng.choice(levels))
    low, high = min(levels), max(levels)
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def to_tensor(crops: Sequence[Image]) -> Tensor:
    """uint8 RGB crops -> float32 `(B, 3, S, S)` in [-1, 1], channels last in memory."""
    stacked = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2)
    return stacked.to(torch.float32, memory_format=torch.channels_last) / 127.5 - 1
