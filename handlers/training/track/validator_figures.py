"""How well FV tells faces from the rest: ROC, figures for the model card, and the curve's plot."""

from pathlib import Path

import matplotlib
import numpy as np
import torch
from torch import Tensor, nn

from handlers.training.loop import Batch
from handlers.training.track.face_validator import KINDS, Doubles, ValidatorBatches

SEED = 20_000  # apart from every training step's
BATCH = 60
THRESHOLD = 0.5  # T_C


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
