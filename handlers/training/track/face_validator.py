"""Learning to tell a followed face from a lost one: FV on landmarks rightly and wrongly placed."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from handlers.networks.box_tracker import CROP_PX
from handlers.networks.face_validator import FaceValidator
from handlers.processing.boxes import Crop
from handlers.processing.landmarks import REGIONS, bounding_box
from handlers.training.faces import Image, to_tensor
from handlers.training.loop import Batch, Losses
from handlers.training.synthetic.scene import Scene
from handlers.training.synthetic.stills import Stills
from handlers.training.synthetic.style import Style, draw_scene

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

RIGHT, WRONG = 0.085, 0.16  # errors in widths of the face: at most, at least
COVERED = 0.75  # of the landmarks: what hides more is no face, half of it is no matter
SAMPLES_A_SCENE = 6
KINDS = ("face", "shifted", "scaled", "turned", "scrambled", "background", "covered")
SEED = 20_000  # apart from every training step's
BATCH = 60
THRESHOLD = 0.5  # T_C


@dataclass(frozen=True)
class ValidatorModel:
    """Arguments of FV, and how much its crop is wider than the landmarks' box."""

    context: float
    patch_px: int = 12
    channels: tuple[int, int] = (8, 2)


@dataclass(frozen=True)
class Candidate:
    """Landmarks `(68, 2)` in pixels of their crop `(S, S, 3)`, and what kind of place it is."""

    crop: Image
    points: Floats
    kind: str


@dataclass(frozen=True)
class ValidatorBatches:
    """Draws crops with landmarks on faces and beside them, half and half."""

    stills: Stills
    style: Style
    context: float

    def __call__(self, rng: np.random.Generator, size: int) -> Batch:
        found = self.draw(rng, size)
        return {
            "crops": to_tensor([one.crop for one in found]),
            "points": torch.from_numpy(np.stack([one.points for one in found])),
            "faces": torch.tensor([float(one.kind == "face") for one in found]),
            "kinds": torch.tensor([KINDS.index(one.kind) for one in found]),
        }

    def draw(self, rng: np.random.Generator, count: int) -> list[Candidate]:
        """So many candidates, several from each scene."""
        found: list[Candidate] = []
        while len(found) < count:
            scene = draw_scene(rng, self.stills, self.style, 1)
            for _ in range(SAMPLES_A_SCENE):
                points, kind = place(rng, scene, self.stills)
                if kind is not None:
                    found.append(self._cut(scene, points, kind))
        return found[:count]

    def _cut(self, scene: Scene, points: Floats, kind: str) -> Candidate:
        crop = Crop.around(bounding_box(points), self.context, CROP_PX)
        return Candidate(scene.look(0, crop), crop.to_crop(points), kind)


class ValidatorLearner(nn.Module):
    """Cross-entropy on right and wrong places."""

    def __init__(self, validator: FaceValidator) -> None:
        super().__init__()
        self.validator = validator

    def forward(self, batch: Batch, progress: float) -> Losses:
        logits = self.validator(batch["crops"], batch["points"]).float()
        loss = binary_cross_entropy_with_logits(logits, batch["faces"])
        right = ((logits > 0) == (batch["faces"] > 0.5)).float().mean()
        return {"loss": loss, "accuracy": right}


def place(rng: np.random.Generator, scene: Scene, stills: Stills) -> tuple[Floats, str | None]:
    """Landmarks somewhere in the first frame and the kind of that place; None where it is unclear.

    Half of them follow the face with a tracker's errors.
    """
    truth = scene.truth(0)
    points = truth.points.astype(np.float64)
    kind = "face" if rng.random() < 0.55 else str(rng.choice(KINDS[1:-1]))
    shape = another_shape(rng, points, stills) if rng.random() < 0.7 else points
    if kind == "face":
        found = with_errors(rng, points, shape)
    elif kind == "background":
        found = beside(rng, shape, scene)
    else:
        found = misplace(rng, kind, with_errors(rng, points, shape))
    error = float(np.linalg.norm(found - points, axis=1).mean() / scale_of(points))
    if kind == "face" and truth.covered > COVERED:
        kind = "covered"
    unclear = (
        error > RIGHT or truth.inside < 0.9 or 0.5 < truth.covered <= COVERED
        if kind == "face"
        else error < WRONG and kind != "covered"
    )
    return found.astype(np.float32), None if unclear else kind


def with_errors(rng: np.random.Generator, points: Doubles, shape: Doubles) -> Doubles:
    """Landmarks as BT finds them: a little off in place and size, and drawn to another shape."""
    unit = scale_of(points)
    found = points + rng.uniform(0, 0.5) * (shape - points)
    found = transform(
        found, rng.normal(0, 0.03, 2) * unit, np.exp(rng.normal(0, 0.04)), rng.normal(0, 0.05)
    )
    for region in REGIONS.values():
        found[region] += rng.normal(0, 0.012, 2) * unit
    return found + rng.normal(0, 0.006, found.shape) * unit


def misplace(rng: np.random.Generator, kind: str, points: Doubles) -> Doubles:
    """Landmarks shifted, scaled, turned or scrambled until they are wrong."""
    unit, still = scale_of(points), np.zeros(2)
    if kind == "shifted":
        angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(0.18, 1.1) * unit
        return transform(points, length * np.array([np.cos(angle), np.sin(angle)]), 1.0, 0.0)
    if kind == "scaled":
        factor = np.exp(rng.choice([-1.0, 1.0]) * rng.uniform(0.4, 1.0))
        return transform(points, rng.normal(0, 0.1, 2) * unit, factor, 0.0)
    if kind == "turned":
        return transform(points, still, 1.0, rng.choice([-1.0, 1.0]) * rng.uniform(0.6, np.pi))
    found = points.copy()
    for region in REGIONS.values():
        found[region] += rng.normal(0, rng.uniform(0.1, 0.35), 2) * unit
    return found + rng.normal(0, rng.uniform(0.02, 0.2), found.shape) * unit


def beside(rng: np.random.Generator, shape: Doubles, scene: Scene) -> Doubles:
    """A face's shape in another place of the frame, of another size."""
    box = np.concatenate([shape.min(axis=0), shape.max(axis=0)])
    middle, sides = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
    angle = rng.uniform(0, 2 * np.pi)
    ray = np.array([np.cos(angle), np.sin(angle)])
    away = ray / np.abs(ray).max() * sides * rng.uniform(1.0, 2.2)
    found = transform(shape, away, np.exp(rng.normal(0, 0.3)), rng.normal(0, 0.2))
    limit = (scene.width, scene.height)
    return np.asarray(found - (middle + away) + np.clip(middle + away, 0, limit))


def another_shape(rng: np.random.Generator, points: Doubles, stills: Stills) -> Doubles:
    """Another face's landmarks where these are: same place, size and direction."""
    other = stills.draw(rng).points.astype(np.float32)
    matrix, _ = cv2.estimateAffinePartial2D(other, points.astype(np.float32), method=cv2.LMEDS)
    if matrix is None:
        return points
    return np.asarray(other @ matrix[:, :2].T + matrix[:, 2], np.float64)


def transform(points: Doubles, shift: Doubles, scale: float, angle: float) -> Doubles:
    """Points scaled and turned about their box's middle, then shifted."""
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    turned = (points - middle) @ np.array([[cosine, sine], [-sine, cosine]])
    return np.asarray(turned + middle + shift)


def scale_of(points: Doubles) -> float:
    """The width of a face: the root of the area of its landmark box."""
    return float(np.sqrt(np.prod(np.ptp(points, axis=0))))


@torch.no_grad()
def measure_validator(
    learner: nn.Module, batches: ValidatorBatches, folder: Path, count: int = 2400
) -> dict[str, object]:
    """Figures of `count` candidates on held-out faces; draws `roc.png` in `folder`."""
    validator = learner.get_submodule("validator").float().eval()
    logits, faces, kinds = [], [], []
    for index in range(-(-count // BATCH)):
        batch: Batch = batches(np.random.default_rng([SEED, index]), BATCH)
        logits.append(validator(batch["crops"], batch["points"]))
        faces.append(batch["faces"])
        kinds.append(batch["kinds"])
    probability, truth, kind = torch.cat(logits).sigmoid(), torch.cat(faces), torch.cat(kinds)
    false, true = roc(probability, truth)
    plot_roc(false, true, folder / "roc.png")
    return {
        "candidates": len(truth),
        "roc_auc": round(float(np.trapezoid(true, false)), 4),
        "true_positive_rate_at_1_percent_false": _at(false, true, 0.01),
        "true_positive_rate_at_5_percent_false": _at(false, true, 0.05),
        "accepted_at_0.5": {
            name: round(float((probability[kind == i] >= THRESHOLD).float().mean()), 4)
            for i, name in enumerate(KINDS)
            if bool((kind == i).any())
        },
    }


def roc(scores: Tensor, faces: Tensor) -> tuple[Doubles, Doubles]:
    """False and true positive rates over all thresholds, from (0, 0) to (1, 1)."""
    order = torch.argsort(scores, descending=True)
    positive = faces[order].double()
    rates = ((1 - positive).cumsum(0), positive.cumsum(0))
    false, true = (np.concatenate([[0.0], (r / r[-1]).numpy()]) for r in rates)
    return false, true


def plot_roc(false: Doubles, true: Doubles, path: Path) -> None:
    """The curve, its false positives on a logarithmic axis."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(5, 4))
    axes.step(np.maximum(false, 1e-4), true, where="post")
    axes.set(xscale="log", xlim=(1e-3, 1), ylim=(0, 1), xlabel="false positives")
    axes.set(ylabel="true positives", title=f"AUC {np.trapezoid(true, false):.4f}")
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _at(false: Doubles, true: Doubles, rate: float) -> float:
    return round(float(true[np.searchsorted(false, rate, side="right") - 1]), 4)
