"""`countenance evaluate actions`: facial actions as served beside those of a teacher."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from handlers.evaluation.align.running import read_view
from handlers.evaluation.output import new_table, number
from handlers.networks.actions import ACTIONS
from handlers.predictors.alignment import LOOKS_AT_DETECTED, AlignmentPredictor
from handlers.processing.arrays import Floats
from handlers.processing.landmarks import N_POINTS, bounding_box
from handlers.store import load_aligner
from handlers.training.datasets.folders import Labelled, read_labels

CLOSE = 0.85  # a correlation from which an action counts as learnt
AT_A_TIME = 16


@dataclass(frozen=True)
class ActionRow:
    """One action: the spread of the teacher's values, and how ours go with them."""

    name: str
    spread: float
    correlation: float
    mean_absolute: float


def evaluate_actions(
    pictures: Path,
    labels: Path,
    model_store: Path,
    model: str = "dfa",
    device: str = "cpu",
    console: Console | None = None,
) -> list[ActionRow]:
    """Compare on faces that were not learnt from; raises ValueError for a model without actions."""
    faces = [face for face in read_labels(labels, pictures) if np.isfinite(face.actions).all()]
    predictor = load_aligner(model_store, model, device).predictor
    told = np.stack(list(tell(predictor, faces)))
    rows = compare(told, np.stack([face.actions for face in faces]))
    (console or Console()).print(as_table(rows, len(faces)))
    return rows


def tell(predictor: AlignmentPredictor, faces: Sequence[Labelled]) -> Iterator[Floats]:
    """Return the actions `(A,)` of each face, from the box of its landmarks."""
    for start in range(0, len(faces), AT_A_TIME):
        some = faces[start : start + AT_A_TIME]
        images = [read_view(face.picture, face.points).image for face in some]
        boxes = [bounding_box(face.points[:N_POINTS])[None] for face in some]
        for (found,) in predictor.align(images, boxes, looks=LOOKS_AT_DETECTED):
            if found.actions is None:
                raise ValueError("this model does not tell facial actions: dfa does")
            yield np.array([found.actions[name] for name in ACTIONS], np.float32)


def compare(told: Floats, taught: Floats) -> list[ActionRow]:
    """Return a row an action for values `(N, A)`, the best correlation first."""
    rows = [
        ActionRow(
            name,
            float(taught[:, index].std()),
            correlation(told[:, index], taught[:, index]),
            float(np.abs(told[:, index] - taught[:, index]).mean()),
        )
        for index, name in enumerate(ACTIONS)
    ]
    return sorted(rows, key=lambda row: -row.correlation)


def correlation(first: Floats, second: Floats) -> float:
    """Return Pearson's correlation; 0 where either does not move."""
    if min(first.std(), second.std()) == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def as_table(rows: list[ActionRow], faces: int) -> Table:
    """Return the rows, and how many actions are close."""
    close = sum(row.correlation >= CLOSE for row in rows)
    title = f"Facial actions on {faces} faces: {close} of {len(rows)} correlate {CLOSE} or more"
    heads = ("teacher's deviation", "correlation", "mean difference")
    table = new_table(title, ("action",), heads)
    for row in rows:
        table.add_row(row.name, *map(number, (row.spread, row.correlation, row.mean_absolute)))
    return table
