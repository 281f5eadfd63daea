"""`countenance evaluate align`: the served predictors over annotated faces, to a report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from handlers.evaluation.align.report import (
    AlignReport,
    compare,
    face_lines,
    flat,
    score,
    write_report,
)
from handlers.evaluation.align.running import CLEAN, SWEEP, run
from handlers.evaluation.align.tables import show, write_figures
from handlers.evaluation.output import progress_bar, publish, record, rounded, spread, write_csv
from handlers.evaluation.published import alignment_tables
from handlers.predictors.alignment import AlignmentPredictor
from handlers.predictors.detection.detector import MIN_FACE_PX, FaceDetector
from handlers.store import load_aligner, load_detector
from handlers.training.datasets.layouts import AUTO, read_layout

MODELS = ("dfa", "fle", "fle-augmented", "fadenn-m", "fadenn-s", "fadenn-d", "fll", "fll-augmented")
# A denoiser against its own landmark network, plain and trained on the same degradations.
PAIRS = (
    ("dfa", "fle"),
    ("dfa", "fle-augmented"),
    ("fadenn-m", "fll"),
    ("fadenn-m", "fll-augmented"),
    ("fadenn-s", "fll"),
    ("fadenn-d", "fll"),
)


def stored_models(model_store: Path) -> tuple[str, ...]:
    """Return the alignment models that the store holds. Raises ValueError if it holds none."""
    names = tuple(name for name in MODELS if (model_store / name).is_dir())
    if not names:
        raise ValueError(f"{model_store}: holds none of {', '.join(MODELS)}")
    return names


@dataclass(frozen=True, slots=True)
class AlignEvaluationOptions:
    """Options of an evaluation of alignment: models, data and outputs.

    Attributes:
        data: a folder in one of the layouts that `training.datasets.layouts` reads.
        models: folders of `model_store`; none stands for all of `loading.MODELS` that are there.
        pairs: models to compare; none stands for `PAIRS` as far as both are run, or the first
            model against each other one.
        out: where JSON, CSV and pictures go; none writes nothing.
        detector, sweep: also from detected boxes, also under every degradation.
        limit: at most so many faces, spread evenly over the set.
        record: write the figures into the models' configurations in the store.
        worst: how many faces a sheet of the worst shows.
    """

    data: Path
    model_store: Path = Path("model_store")
    models: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    layout: str = AUTO
    out: Path | None = None
    detector: bool = False
    sweep: bool = False
    device: str = "cpu"
    limit: int | None = None
    min_face_px: int = MIN_FACE_PX
    batch: int = 32
    seed: int = 0
    record: bool = False
    worst: int = 24


def evaluate_align(options: AlignEvaluationOptions) -> AlignReport:
    """Load the models from the store, measure them, print the tables, write the files.

    Raises:
        ValueError: a model, layout, pair or folder that is not there, or an unreadable picture.
    """
    names = options.models or stored_models(options.model_store)
    loaded = {name: load_aligner(options.model_store, name, options.device) for name in names}
    models = {name: stored.predictor for name, stored in loaded.items()}
    weights = {name: stored.checkpoint.sha256 for name, stored in loaded.items()}
    detector = load_detector(options.model_store, options.device) if options.detector else None
    report = evaluate(options, models, detector, weights)
    if options.record:
        record_figures(report, options.model_store)
    return report


def evaluate(
    options: AlignEvaluationOptions,
    models: Mapping[str, AlignmentPredictor],
    detector: FaceDetector | None,
    weights: Mapping[str, str],
    console: Console | None = None,
) -> AlignReport:
    """Measure predictors that are already loaded; `weights` names each model's SHA-256."""
    pairs = choose_pairs(options.pairs, list(models))
    faces = read_layout(options.data, options.layout)
    samples = spread(faces.samples, options.limit)
    conditions = (CLEAN, *SWEEP) if options.sweep else (CLEAN,)
    with progress_bar("Aligning", len(samples) * len(conditions)) as done:
        errors = run(
            samples,
            models,
            detector,
            conditions,
            min_face_px=options.min_face_px,
            batch=options.batch,
            seed=options.seed,
            done=done,
        )
    report = AlignReport(
        data=data_name(options.data),
        layout=options.layout,
        faces=len(samples),
        skipped=faces.skipped,
        weights=weights,
        rows=score(errors),
        comparisons=compare(errors, pairs, samples, options.seed),
        published=alignment_tables(),
    )

    def write(out: Path) -> None:
        write_report(report, out / "report.json")
        write_csv(out / "summary.csv", [flat(row) for row in report.rows])
        write_csv(out / "faces.csv", face_lines(errors, samples, options.data))
        write_figures(errors, samples, out, options.worst)

    publish(lambda to: show(report, to), write, options.out, console)
    return report


def choose_pairs(
    wanted: Sequence[tuple[str, str]], models: Sequence[str]
) -> tuple[tuple[str, str], ...]:
    """Choose the pairs to compare; raises ValueError for a wanted one that is not run."""
    for name in {name for pair in wanted for name in pair} - set(models):
        raise ValueError(f"cannot compare {name!r}: the models run are {', '.join(models)}")
    usual = tuple(pair for pair in PAIRS if set(pair) <= set(models))
    return tuple(wanted) or usual or tuple((models[0], other) for other in models[1:])


def data_name(data: Path) -> str:
    """Return the last two parts of the data's folder, such as `helen/test`."""
    return "/".join(data.resolve().parts[-2:])


def record_figures(report: AlignReport, model_store: Path) -> None:
    """Write each model's figures on the report's data beside those on other data.

    `{"helen/test": {"faces": 110, "auc": {"truth": {"clean": 0.75, ...}}, "fr": ...}}`, box
    normalised, AUC and failure rate at 0.08.
    """
    for name in report.weights:
        figures: dict[str, Any] = {"faces": report.faces, "nme": {}, "auc": {}, "fr": {}}
        for row in report.rows:
            if row.case.model == name:
                condition, boxes = str(row.case.condition), row.case.boxes.value
                for measure in ("nme", "auc", "fr"):
                    value = rounded(getattr(row.box, measure))
                    figures[measure].setdefault(boxes, {})[condition] = value
        record(model_store / name, report.data, figures)
