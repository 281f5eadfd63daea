"""Learning to tell a followed face from a lost one: FV on landmarks rightly and wrongly placed."""

from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from handlers.networks.box_tracker import CROP_PX, FaceValidator
from handlers.processing.arrays import Doubles, Floats, Image
from handlers.processing.boxes import Crop
from handlers.processing.landmarks import bounding_box
from handlers.training.faces import to_tensor
from handlers.training.loop import Batch, Losses
from handlers.training.synthetic.scene import Scene, Truth
from handlers.training.synthetic.stills import Stills
from handlers.training.synthetic.style import Style, draw_scene
from handlers.training.track.places import KINDS, place, without_face

SAMPLES_A_SCENE = 12
LURES = 0.12  # the share of scenes without a face
REACH = 4.5  # of what is drawn of a scene, in sides of its landmark box
SEED = 20_000  # apart from every training step's
BATCH = 60
THRESHOLD = 0.5  # T_C


@dataclass(frozen=True)
class ValidatorModel:
    """Arguments of FV, and how much its crop is wider than the landmarks' box."""

    context: float
    patch_px: int = 12
    channels: tuple[int, int] = (8, 2)
    spacing: float = 1.0


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
        """Draw so many candidates, several from each scene."""
        found: list[Candidate] = []
        while len(found) < count:
            scene = draw_scene(rng, self.stills, self.style, 1)
            lure = rng.random() < LURES
            if lure:
                scene = without_face(rng, scene)
            truth = scene.truth(0)
            surroundings = SceneView.of(scene, truth)
            for _ in range(SAMPLES_A_SCENE):
                points, kind = place(rng, scene, truth, self.stills)
                if lure:
                    kind = "lure"
                if kind is not None:
                    found.append(self._cut(surroundings, points, kind))
        return found[:count]

    def _cut(self, surroundings: "SceneView", points: Floats, kind: str) -> Candidate:
        crop = Crop.around(bounding_box(points), self.context, CROP_PX)
        return Candidate(surroundings.look(crop), crop.to_crop(points), kind)


@dataclass(frozen=True)
class SceneView:
    """The first frame of a scene about its face, drawn once for all crops that are cut from it."""

    scene: Scene
    window: Crop
    picture: Image

    @classmethod
    def of(cls, scene: Scene, truth: Truth) -> "SceneView":
        size = round(CROP_PX * REACH / 1.3)
        window = Crop.around(bounding_box(truth.points), REACH, size)
        return cls(scene, window, scene.look(0, window))

    def look(self, crop: Crop) -> Image:
        """Cut a crop out of the frame, `(S, S, 3)`."""
        middle = self.window.to_crop(np.array([crop.centre], np.float32))[0]
        side = crop.side * self.window.scale
        if np.abs(middle - self.window.size / 2).max() + side / 2 > self.window.size / 2:
            return self.scene.look(0, crop)
        x, y = (float(value) for value in middle)
        return Crop((x, y), side, crop.size).extract(self.picture)


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


@torch.no_grad()
def measure_validator(
    learner: nn.Module, batches: ValidatorBatches, folder: Path, count: int = 2400
) -> dict[str, object]:
    """Return figures of `count` candidates on held-out faces; draws `roc.png` in `folder`."""
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
    """Return false and true positive rates over all thresholds, from (0, 0) to (1, 1)."""
    order = torch.argsort(scores, descending=True)
    positive = faces[order].double()
    rates = ((1 - positive).cumsum(0), positive.cumsum(0))
    false, true = (np.concatenate([[0.0], (r / r[-1]).numpy()]) for r in rates)
    return false, true


def plot_roc(false: Doubles, true: Doubles, path: Path) -> None:
    """Plot the curve, its false positives on a logarithmic axis."""
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
