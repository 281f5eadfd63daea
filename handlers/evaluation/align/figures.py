"""Errors to pictures: cumulative error curves, and a sheet of the worst faces."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from handlers.evaluation.align.conditions import CLEAN, read_view
from handlers.evaluation.align.running import Boxes, Case, Errors
from handlers.evaluation.metrics import THRESHOLD, auc, cumulative_errors
from handlers.processing.boxes import Crop
from handlers.processing.landmarks import bounding_box
from handlers.training.datasets.folders import FaceSample

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

GREEN, RED, WHITE = (0, 220, 0), (230, 30, 30), (255, 255, 255)
TILE_PX = 200
COLUMNS = 6


def plot_curves(errors: Mapping[Case, Errors], boxes: Boxes, path: Path) -> None:
    """Cumulative error curves of every model, one panel a condition, as a PNG."""
    from matplotlib.figure import Figure

    conditions = list(dict.fromkeys(case.condition for case in errors if case.boxes == boxes))
    columns = min(len(conditions), 4)
    rows = -(-len(conditions) // columns)
    figure = Figure(figsize=(4.2 * columns + 1, 3.4 * rows + 0.4), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel, condition in zip(panels, conditions, strict=False):
        for case, found in errors.items():
            if (case.condition, case.boxes) == (condition, boxes):
                at, share = cumulative_errors(found.box)
                label = f"{case.model}  {auc(found.box):.3f}"
                panel.step(at, share, where="post", label=label)
        panel.set(title=str(condition), xlim=(0, THRESHOLD), ylim=(0, 1))
        panel.set(xlabel="error over the box size", ylabel="fraction of the faces")
        panel.grid(alpha=0.3)
        panel.legend(title="AUC", loc="lower right", fontsize="small")
    for panel in panels[len(conditions) :]:
        panel.set_visible(False)
    figure.savefig(path, dpi=110)


def draw_worst(samples: Sequence[FaceSample], errors: Errors, path: Path, count: int = 24) -> None:
    """A sheet of the faces with the largest errors: truth red, prediction green, as a PNG.

    The error stands above each face; a missed face shows the truth alone.
    """
    worst = np.argsort(-errors.box, kind="stable")[:count]
    tiles = [_tile(samples[i], errors, int(i)) for i in worst]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % COLUMNS)
    rows = [np.hstack(tiles[i : i + COLUMNS]) for i in range(0, len(tiles), COLUMNS)]
    cv2.imwrite(str(path), np.vstack(rows)[..., ::-1])


def _tile(sample: FaceSample, errors: Errors, index: int) -> Image:
    view = read_view(sample.image_path, sample.landmarks)
    crop = Crop.around(bounding_box(sample.landmarks), context=1.5, size=TILE_PX)
    tile = crop.extract(view.image)
    _dots(tile, crop.to_crop(sample.landmarks), RED)
    caption = "missed"
    if errors.landmarks is not None and np.isfinite(errors.box[index]):
        _dots(tile, crop.to_crop(errors.landmarks[index]), GREEN)
        caption = f"{errors.box[index]:.3f}"
    for color, width in ((0, 0, 0), 3), (WHITE, 1):
        cv2.putText(tile, caption, (5, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.45, color, width)
    return tile


def _dots(tile: Image, points: Floats, color: tuple[int, int, int]) -> None:
    """Dots at sub-pixel places (OpenCV's `shift` counts sixteenths)."""
    for x, y in np.clip(points, -TILE_PX, 2 * TILE_PX):
        centre = (round(float(x) * 16), round(float(y) * 16))
        cv2.circle(tile, centre, 24, color, cv2.FILLED, cv2.LINE_AA, shift=4)


def write_figures(
    errors: Mapping[Case, Errors], samples: Sequence[FaceSample], out: Path, worst: int
) -> None:
    """`curves-<boxes>.png` for each kind of box, `worst-<model>-<boxes>.png` on clean pictures."""
    for boxes in dict.fromkeys(case.boxes for case in errors):
        plot_curves(errors, boxes, out / f"curves-{boxes}.png")
    for case, found in errors.items():
        if case.condition == CLEAN:
            draw_worst(samples, found, out / f"worst-{case.model}-{case.boxes}.png", worst)
