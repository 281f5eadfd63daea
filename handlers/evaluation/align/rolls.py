"""`countenance evaluate rolls`: faces turned in the plane, found as `POST /align` finds them.

Every labelled picture is turned about its middle by angles all round. A face counts as found where
its landmarks lie no further off than some of what they are off by in the upright picture.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from handlers.align import AlignHandler, AlignRow
from handlers.evaluation.align.running import LEAST_OVERLAP, FaceView, read_view
from handlers.evaluation.metrics import finite_mean, nme_box
from handlers.evaluation.output import new_table, number, progress_bar, spread
from handlers.processing.arrays import Doubles, Image
from handlers.processing.boxes import Crop, overlap
from handlers.processing.image import DecodedImage
from handlers.processing.landmarks import bounding_box
from handlers.row_checks import AlignOptions
from handlers.training.datasets.layouts import read_layout

TURNS_DEG = tuple(range(0, 360, 30))
CLOSE = 1.3  # times the upright error
LONGEST_PX = 900


@dataclass(frozen=True)
class RollRow:
    """One angle: `found` the share of faces where some landmarks overlap the face, `close` the
    share where they are as good as upright or nearly, and the mean error of those found over the
    square root of the upright box's area."""

    turn_deg: int
    found: float
    close: float
    error: float


def evaluate_rolls(
    data: Path,
    model_store: Path,
    device: str = "cpu",
    limit: int | None = None,
    console: Console | None = None,
) -> list[RollRow]:
    """Measure on the faces of a folder, one a picture, and print a row an angle."""
    handler = AlignHandler(model_store, device)
    samples = spread(read_layout(data).samples, limit)
    errors = np.empty((len(samples), len(TURNS_DEG)))
    with progress_bar("Turning", errors.size) as done:
        for face, sample in enumerate(samples):
            view = read_view(sample.image_path, sample.landmarks)
            for column, turn in enumerate(TURNS_DEG):
                errors[face, column] = error_at(handler, view, turn)
                done(1)
    rows = as_rows(errors)
    (console or Console()).print(as_table(rows, len(samples)))
    return rows


def error_at(handler: AlignHandler, view: FaceView, turn_deg: int) -> float:
    """Return the error of a face in its picture turned clockwise; infinite where it is not
    found."""
    window = turned_window(view.image, turn_deg)
    truth, picture = window.to_crop(view.landmarks), window.extract(view.image)
    image = DecodedImage(picture, "PNG", False, 1, ())
    ((outputs, _),) = handler.compute([AlignRow(image, AlignOptions.parse({}), None, 0.0)])
    found = [np.array(face["landmarks"], np.float32) for face in outputs["faces"]]
    shared = [overlap(bounding_box(one), bounding_box(truth)) for one in found]
    if not shared or max(shared) < LEAST_OVERLAP:
        return math.inf
    # Over the upright box, since that of a turned face is larger.
    return nme_box(window.from_crop(found[int(np.argmax(shared))]), view.landmarks)


def turned_window(image: Image, turn_deg: int) -> Crop:
    """Return a square window that shows all of a picture turned clockwise, black around it."""
    height, width = image.shape[:2]
    side = math.hypot(height, width)
    size = round(min(side, LONGEST_PX))
    return Crop(((width - 1) / 2, (height - 1) / 2), side, size, -math.radians(turn_deg))


def as_rows(errors: Doubles) -> list[RollRow]:
    """Return a row an angle from errors `(N, angles)`, the first column those of the
    upright faces."""
    upright, found = errors[:, 0], np.isfinite(errors)
    close = found & np.isfinite(upright)[:, None] & (errors <= CLOSE * upright[:, None])
    return [
        RollRow(
            turn,
            float(found[:, index].mean()),
            float(close[:, index].mean()),
            finite_mean(errors[:, index]),
        )
        for index, turn in enumerate(TURNS_DEG)
    ]


def as_table(rows: Sequence[RollRow], faces: int) -> Table:
    """Return the rows, and the share of all turned faces that are close."""
    turned = [row for row in rows if row.turn_deg]
    share = float(np.mean([row.close for row in turned]))
    title = f"{faces} faces, {len(turned)} angles: {share:.1%} within {CLOSE} times upright"
    table = new_table(title, ("clockwise, degrees",), ("found", f"within {CLOSE}", "mean error"))
    for row in rows:
        cells = map(number, (row.found, row.close))
        table.add_row(str(row.turn_deg), *cells, f"{row.error:.4f}")
    return table
