"""A report to tables on a terminal, laid out as the thesis's, and to pictures of curves."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console, RenderableType
from rich.table import Table

from handlers.evaluation.align.report import AlignFigures, AlignReport
from handlers.evaluation.align.running import (
    CLEAN,
    RESIZED,
    Boxes,
    Case,
    Condition,
    Errors,
    read_view,
)
from handlers.evaluation.metrics import THRESHOLD, auc, cumulative_errors
from handlers.evaluation.output import (
    GREEN,
    RED,
    caption,
    dots,
    layout_title,
    new_table,
    number,
    signed,
    with_published,
)
from handlers.evaluation.published import PublishedTable
from handlers.processing.arrays import Image
from handlers.processing.boxes import Crop
from handlers.processing.degradations import LEVELS
from handlers.processing.landmarks import bounding_box
from handlers.training.datasets.folders import FaceSample

TILE_PX = 200
COLUMNS = 6
BOX_NAMES = {Boxes.TRUTH: "true box", Boxes.DETECTOR: "detector"}
MEASURES = {"nme": "NME", "auc": "AUC", "fr": "FR"}
OTHER = "pictures, training data and crops"


def plot_curves(errors: Mapping[Case, Errors], boxes: Boxes, path: Path) -> None:
    """Plot cumulative error curves of every model, one panel a condition, as a PNG."""
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
    """Draw a sheet of the faces with the largest errors: truth red, prediction green, as a PNG.

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
    dots(tile, crop.to_crop(sample.landmarks), RED)
    said = "missed"
    if errors.landmarks is not None and np.isfinite(errors.box[index]):
        dots(tile, crop.to_crop(errors.landmarks[index]), GREEN)
        said = f"{errors.box[index]:.3f}"
    caption(tile, said, (5, 15))
    return tile


def write_figures(
    errors: Mapping[Case, Errors], samples: Sequence[FaceSample], out: Path, worst: int
) -> None:
    """Write `curves-<boxes>.png` for each kind of box, `worst-<model>-<boxes>.png` on clean
    pictures."""
    for boxes in dict.fromkeys(case.boxes for case in errors):
        plot_curves(errors, boxes, out / f"curves-{boxes}.png")
    for case, found in errors.items():
        if case.condition == CLEAN:
            draw_worst(samples, found, out / f"worst-{case.model}-{case.boxes}.png", worst)


@dataclass(frozen=True, slots=True)
class Layout:
    """The head of one table: what was measured under which conditions."""

    title: str
    conditions: tuple[Condition, ...]
    measures: tuple[str, ...]


def show(report: AlignReport, console: Console) -> None:
    """Print every table of the report."""
    skipped = ", ".join(f"{count} x {reason}" for reason, count in report.skipped.items())
    left_out = f"; left out: {skipped}" if skipped else ""
    console.print(f"{report.data}: {report.faces} faces{left_out}", markup=False)
    for table in tables(report):
        console.print(table, "")


def tables(report: AlignReport) -> Iterator[RenderableType]:
    """Return the summary, the thesis's tables as far as they were run, the paired comparisons."""
    yield _summary(report)
    for published in report.published:
        layout = _layout(report, published)
        if set(layout.conditions) <= set(report.conditions):
            yield _beside(report, layout, published)
    motion = tuple(Condition("motion", level) for level in LEVELS["motion"])
    if set(motion) <= set(report.conditions):
        yield _beside(
            report,
            Layout(f"{report.data}: motion blur of 10, 15, 25 frames", motion, ("auc", "fr")),
        )
    for first, second in dict.fromkeys((c.first, c.second) for c in report.comparisons):
        yield _comparisons(report, first, second)


def _summary(report: AlignReport) -> Table:
    """Tabulate both normalisations on the pictures as they are and, in a sweep, its own
    reference."""
    title = f"{report.data}: errors over the box size and over the eye distance"
    heads = ("Missed", *MEASURES.values(), *(f"{name}\neyes" for name in MEASURES.values()))
    table = new_table(title, ("Model", "Pictures", "Boxes"), heads)
    for row in report.rows:
        if row.case.condition in (CLEAN, RESIZED):
            scores = [number(getattr(s, m)) for s in (row.box, row.eyes) for m in MEASURES]
            where = (str(row.case.condition), BOX_NAMES[row.case.boxes])
            table.add_row(row.case.model, *where, f"{row.missed}/{row.faces}", *scores)
    return table


def _layout(report: AlignReport, published: PublishedTable) -> Layout:
    clean = published.degradation == CLEAN.degradation
    levels = tuple(Condition(published.degradation, level) for level in published.levels)
    title = layout_title(report.data, published)
    return Layout(title, (CLEAN,) if clean else levels, published.measures)


def _beside(
    report: AlignReport, layout: Layout, published: PublishedTable | None = None
) -> RenderableType:
    """Return our rows, then the published ones, with their notes below."""
    heads = [
        f"{condition.label}\n{MEASURES[measure]}".strip()
        for condition in layout.conditions
        for measure in layout.measures
    ]
    table = new_table(layout.title, ("Method", "Data"), heads)
    for boxes in report.sources:
        for model in report.models:
            rows = [report.row(model, condition, boxes) for condition in layout.conditions]
            table.add_row(model, BOX_NAMES[boxes], *_cells(rows, layout.measures))
    if published is None:
        return table
    return with_published(table, published, OTHER, lambda line: str(line.data))


def _cells(rows: Sequence[AlignFigures], measures: Sequence[str]) -> Iterator[str]:
    return (number(getattr(row.box, measure)) for row in rows for measure in measures)


def _comparisons(report: AlignReport, first: str, second: str) -> Table:
    found = [c for c in report.comparisons if (c.first, c.second) == (first, second)]
    confidence = found[0].interval.confidence
    title = f"AUC of {first} minus {second}, paired bootstrap, {confidence:.0%} interval"
    table = new_table(title, ("Pictures", "Boxes"), ("Difference", "From", "To", "Better"))
    for c in found:
        numbers = (signed(v, 4) for v in (c.interval.difference, c.interval.low, c.interval.high))
        table.add_row(str(c.condition), BOX_NAMES[c.boxes], *numbers, c.verdict)
    return table
