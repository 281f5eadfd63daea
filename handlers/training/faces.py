"""Annotated faces held in memory, and batches of augmented crops drawn from them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from handlers.networks.actions import ACTION_MIRROR
from handlers.processing.arrays import Floats, Image, Ints
from handlers.processing.boxes import Crop
from handlers.processing.degradations import LEVELS, degrade
from handlers.processing.landmarks import N_POINTS, bounding_box
from handlers.training.augmentation import Augmentation
from handlers.training.datasets.folders import Labelled, read_labels, read_picture, read_points


@dataclass(frozen=True)
class Source:
    """A folder of pictures and the share of a batch drawn from it.

    Landmarks come from the `.pts` file beside each picture, or from `labels`, an `.npz` file that
    `read_labels` reads, which may also hold irises and facial actions.
    """

    folder: str
    share: float
    labels: str | None = None


class Drawn(NamedTuple):
    """Random crops, their landmarks `(count, 68 or 70, 2)` in crop pixels and actions."""

    crops: list[Image]
    points: Floats
    actions: Floats


def faces_of(root: Path, source: Source) -> Iterator[Labelled]:
    """The faces of a source, its folder and labels below `root`."""
    if source.labels is None:
        return read_points(root / source.folder)
    return read_labels(root / source.labels, root / source.folder)


class FaceBank:
    """The faces of several sources, cut to twice their box and at most `limit` pixels."""

    def __init__(self, root: Path, sources: Sequence[Source], limit: int = 300) -> None:
        self.images: list[Image] = []
        self.points: list[Floats] = []
        self.actions: list[Floats] = []
        self.members: list[Ints] = []
        for source in sources:
            first = len(self.images)
            for face in faces_of(root, source):
                self._add(face, limit)
            self.members.append(np.arange(first, len(self.images)))
        most = max(len(points) for points in self.points)
        self.points = [padded(points, most) for points in self.points]
        shares = np.array([source.share for source in sources])
        self.shares = shares / shares.sum()

    def _add(self, face: Labelled, limit: int) -> None:
        whole = Crop.around(bounding_box(face.points[:N_POINTS]), context=2.2)
        crop = Crop(whole.centre, whole.side, min(round(whole.side), limit))
        self.images.append(crop.extract(read_picture(face.picture)))
        self.points.append(crop.to_crop(face.points))
        self.actions.append(face.actions)

    def draw(self, rng: np.random.Generator, count: int, augmentation: Augmentation) -> Drawn:
        """Random crops with their labels."""
        crops, points, actions = [], [], []
        for group in rng.choice(len(self.members), count, p=self.shares):
            index = int(rng.choice(self.members[group]))
            cut = augmentation(self.images[index], self.points[index], rng)
            crops.append(cut.crop)
            points.append(cut.points)
            known = self.actions[index]
            actions.append(known[list(ACTION_MIRROR)] if cut.mirrored else known)
        return Drawn(crops, np.stack(points), np.stack(actions))


def padded(points: Floats, count: int) -> Floats:
    """Points `(N, 2)` with unknown ones behind them, `(count, 2)`."""
    return np.pad(points, ((0, count - len(points)), (0, 0)), constant_values=np.nan)


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
