"""Annotated faces held in memory, and batches of crops drawn from them: turned, shifted, mirrored,
occluded, as sections 3.3.4 and 4.3.5, and degraded."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from handlers.networks.actions import ACTION_MIRROR
from handlers.processing.arrays import Doubles, Floats, Image, Ints
from handlers.processing.boxes import Crop
from handlers.processing.degradations import LEVELS, degrade
from handlers.processing.landmarks import N_POINTS, bounding_box, mirror
from handlers.training.datasets.folders import Labelled, read_labels, read_picture, read_points
from handlers.training.synthetic.motion import similarity
from handlers.training.synthetic.occluders import PAINTS, SPRITE_PX


class CroppedFace(NamedTuple):
    """A crop `(size, size, 3)` uint8, its landmarks `(N, 2)` in crop pixels, whether mirrored."""

    crop: Image
    points: Floats
    mirrored: bool


@dataclass(frozen=True)
class Augmentation:
    """Limits of how a training crop differs from the face's own box.

    A `loose` crop has a detector's errors and the thesis's rotations; the others are what a second
    look at an aligned face gets: upright and centred. Of the `occluded` crops the share `things`
    is covered by painted things such as hands, the others by rectangles.
    """

    context: float = 1.3
    size: int = 128
    loose: float = 0.6
    angle_deg: float = 18.0
    largest_angle_deg: float = 45.0
    scale: float = 0.10
    shift: float = 0.05
    stretch: float = 0.06
    occluded: float = 0.5
    gain: float = 0.3
    grey: float = 0.1
    things: float = 0.0

    def __call__(self, image: Image, points: Floats, rng: np.random.Generator) -> CroppedFace:
        """Cut a crop around landmarks `(68 or more, 2)`; what follows the 68 are the irises."""
        matrix = self._matrix(points[:N_POINTS], rng)
        crop = np.asarray(
            cv2.warpAffine(
                image,
                matrix,
                (self.size, self.size),
                flags=cv2.INTER_AREA if rng.random() < 0.2 else cv2.INTER_LINEAR,
            ),
            np.uint8,
        )
        moved = np.asarray(points @ matrix[:, :2].T + matrix[:, 2], np.float32)
        mirrored = bool(rng.random() < 0.5)
        if mirrored:
            crop, moved = np.ascontiguousarray(crop[:, ::-1]), mirror(moved, self.size)
        crop = self._light(crop, rng)
        if rng.random() < self.occluded:
            crop = (cover if rng.random() < self.things else occlude)(crop, rng)
        return CroppedFace(crop, moved, mirrored)

    def _matrix(self, points: Floats, rng: np.random.Generator) -> Doubles:
        amount = 1.0 if rng.random() < self.loose else 0.3
        angle = amount * self.angle_deg * rng.standard_normal()
        if rng.random() < 0.1 * amount:
            angle = rng.uniform(-self.largest_angle_deg, self.largest_angle_deg)
        angle = np.deg2rad(np.clip(angle, -self.largest_angle_deg, self.largest_angle_deg))
        # The box is that of the turned face, as a detector would see it or a second look cut it.
        upright = Crop((0.0, 0.0), self.size, self.size, angle)
        box = bounding_box(upright.to_crop(points))
        shift = amount * self.shift * max(box[2] - box[0], box[3] - box[1])
        centre = upright.from_crop((box[:2] + box[2:]) / 2 + shift * rng.standard_normal(2))
        side = max(box[2] - box[0], box[3] - box[1]) * self.context
        side *= np.exp(np.clip(amount * self.scale * rng.standard_normal(), -0.3, 0.3))
        crop = Crop((float(centre[0]), float(centre[1])), float(side), self.size, float(angle))
        stretch = np.eye(2) + self.stretch * rng.uniform(-1, 1, (2, 2))
        middle = (self.size - 1) / 2
        matrix = crop.matrix()
        matrix[:, :2] = stretch @ matrix[:, :2]
        matrix[:, 2] = stretch @ (matrix[:, 2] - middle) + middle
        return matrix

    def _light(self, crop: Image, rng: np.random.Generator) -> Image:
        values = crop.astype(np.float32)
        if rng.random() < self.grey:
            values[:] = values.mean(axis=2, keepdims=True)
        gains = 1 + self.gain * rng.uniform(-1, 1) + 0.1 * rng.uniform(-1, 1, 3)
        offset = 20 * rng.uniform(-1, 1)
        gamma = np.exp(self.gain * rng.uniform(-1, 1))
        values = 255 * np.clip(values / 255, 0, 1) ** gamma * gains + offset
        light: Image = np.clip(values, 0, 255).astype(np.uint8)
        return light


def occlude(crop: Image, rng: np.random.Generator) -> Image:
    """Cover part of a crop by a strip or a rectangle, of one colour or of noise."""
    size = crop.shape[0]
    crop = crop.copy()
    for _ in range(rng.integers(1, 3)):
        if rng.random() < 0.4:  # a strip across the whole crop
            width, length = rng.uniform(0.04, 0.18) * size, float(size)
        else:
            width, length = rng.uniform(0.08, 0.4, 2) * size
        x, y = rng.uniform(0, size, 2)
        x1, x2 = int(max(x - length / 2, 0)), int(min(x + length / 2, size))
        y1, y2 = int(max(y - width / 2, 0)), int(min(y + width / 2, size))
        if rng.random() < 0.5:
            x1, x2, y1, y2 = y1, y2, x1, x2
        color = rng.integers(0, 256, 3)
        patch = crop[y1:y2, x1:x2]
        if rng.random() < 0.3:
            patch[:] = rng.integers(0, 256, patch.shape)
        else:
            patch[:] = color
    return crop


def cover(crop: Image, rng: np.random.Generator) -> Image:
    """Lay a painted hand, ball, bar or fence over part of a crop, somewhere about the face."""
    kind = str(rng.choice(["hand", "hand", "box", "ellipse", "strip", "fence"]))
    sprite = PAINTS[kind](rng, crop)
    size, width = crop.shape[0], rng.uniform(0.35, 1.0 if kind != "hand" else 1.8)
    if kind in ("strip", "fence"):
        width = rng.uniform(1.5, 2.5)
    matrix = similarity(width * size / SPRITE_PX, rng.uniform(-np.pi, np.pi))[:2]
    middle = size * rng.uniform(0.1, 0.9, 2)
    matrix[:, 2] = middle - matrix[:, :2] @ np.full(2, (SPRITE_PX - 1) / 2)
    laid = cv2.warpAffine(sprite, matrix, (size, size), flags=cv2.INTER_LINEAR)
    opacity = laid[..., 3:].astype(np.float32) / 255
    return np.asarray(crop * (1 - opacity) + laid[..., :3] * opacity, np.uint8)


@dataclass(frozen=True)
class Source:
    """A folder of pictures and the share of a batch drawn from it.

    Landmarks come from the `.pts` file beside each picture, or from `labels`, an `.npz` file that
    `read_labels` reads, which may also hold irises and facial actions.
    """

    folder: str
    share: float
    labels: str | None = None


class CropBatch(NamedTuple):
    """Random crops, their landmarks `(count, 68 or 70, 2)` in crop pixels and actions."""

    crops: list[Image]
    points: Floats
    actions: Floats


def faces_of(root: Path, source: Source) -> Iterator[Labelled]:
    """Return the faces of a source, its folder and labels below `root`."""
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

    def draw(self, rng: np.random.Generator, count: int, augmentation: Augmentation) -> CropBatch:
        """Draw random crops with their labels."""
        crops, points, actions = [], [], []
        # The source first: its share of a batch does not depend on how many faces it has.
        for group in rng.choice(len(self.members), count, p=self.shares):
            index = int(rng.choice(self.members[group]))
            cut = augmentation(self.images[index], self.points[index], rng)
            crops.append(cut.crop)
            points.append(cut.points)
            known = self.actions[index]
            actions.append(known[list(ACTION_MIRROR)] if cut.mirrored else known)
        return CropBatch(crops, np.stack(points), np.stack(actions))


def padded(points: Floats, count: int) -> Floats:
    """Return points `(N, 2)` with unknown ones behind them, `(count, 2)`."""
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
        """Return a degraded copy and its class."""
        if rng.random() < self.clean:
            return crop, 0
        label = int(rng.integers(len(self.kinds)))
        name = str(rng.choice(list(self.kinds.values())[label]))
        return degrade(crop, name, draw_level(name, rng), rng, face_px), label + 1


def draw_level(name: str, rng: np.random.Generator) -> float:
    """Draw one of the thesis's levels, or in half of the cases one between the least and
    the most."""
    levels = LEVELS[name]
    if rng.random() < 0.5:
        return float(rng.choice(levels))
    low, high = min(levels), max(levels)
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def to_tensor(crops: Sequence[Image]) -> Tensor:
    """Turn uint8 RGB crops into float32 `(B, 3, S, S)` in [-1, 1], channels last in memory."""
    stacked = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2)
    return stacked.to(torch.float32, memory_format=torch.channels_last) / 127.5 - 1
