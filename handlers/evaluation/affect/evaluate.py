"""`countenance evaluate affect`: the served affect models over labelled clips, to a report."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from handlers.evaluation.affect.agreement import MEASURES, Agreement, Score
from handlers.evaluation.affect.figures import write_files
from handlers.evaluation.affect.harmed import CHANNELS
from handlers.evaluation.affect.measuring import AffectReport, Unit, compare, measure, row_of
from handlers.evaluation.affect.portions import attention_portions, gate_portions
from handlers.evaluation.affect.rows import PRINTED, ModelStore, is_row
from handlers.evaluation.affect.sets import AUTO, EvaluationSet, Following, read_material
from handlers.evaluation.affect.tables import show
from handlers.evaluation.output import progress_bar, publish, record, rounded
from handlers.evaluation.published import affect_portions, affect_tables
from handlers.predictors.affect.estimator import Estimator
from handlers.predictors.affect.speech import SpeechDetector
from handlers.store import load_aligner, load_speech_detector
from handlers.training.datasets.affect.watching import load_follower

ALL = "all"
WIDTH = 200
ALIGNER = "dfa"  # what finds the landmarks of photographs
ABSENT = "not in every model store"


@dataclass(frozen=True, slots=True)
class AffectOptions:
    """Options of an evaluation of affect: models, data and outputs.

    Attributes:
        data: a folder in one of the layouts that `sets` reads.
        stores: model stores. Several are of as many seeds, whose mean is reported; with `by_fold`
            each was trained without the fold that it is measured on.
        tracker_store: where the tracker is that follows faces in recordings, the aligner that finds
            those of photographs, and the detector of speech.
        rows: variants by the names of their folders; none stands for all that are in every store.
        limit: at most so many clips, spread evenly over the set.
        even: of photographs those of every word about as often, rare ones whole.
        degraded: `blur`, `darkness`, `noise` or `low level`, which all of the data goes through.
        context: how many times wider than the landmarks' box crops are; None is what the rows were
            made for.
        harm: also with a modality destroyed or degraded, where the data has both, and speech as
            other channels bring it.
        out: where JSON, CSV and pictures go, of these `plots` timelines; none writes nothing.
        record: write the figures into the variants' configurations in the stores.
    """

    data: Path
    stores: tuple[Path, ...] = (Path("model_store"),)
    tracker_store: Path = Path("model_store")
    rows: tuple[str, ...] = ()
    layout: str = AUTO
    limit: int | None = None
    even: bool = False
    by_fold: bool = False
    degraded: str | None = None
    context: float | None = None
    harm: bool = True
    out: Path | None = None
    plots: int = 3
    record: bool = False
    device: str = "cpu"
    seed: int = 0


def evaluate_affect(options: AffectOptions) -> AffectReport:
    """Load the variants from the stores, measure them, print the tables, write the files.

    Raises:
        ValueError: a row, layout or folder that is not there, or data that cannot be read.
    """
    if options.record and (options.degraded or options.context or options.even):
        raise ValueError("only figures of data as it is served are recorded")
    stores = [ModelStore(store, options.device) for store in options.stores]
    names, left_out = choose_rows(options.rows, [store.rows() for store in stores])
    following = Following(
        lambda: options.context or one_context(stores[0].contexts(names)),
        lambda: load_follower(options.tracker_store, options.device),
        lambda: load_aligner(options.tracker_store, ALIGNER, options.device).predictor,
    )
    material = read_material(
        options.data, options.layout, options.limit, following, even=options.even
    )
    if options.degraded is not None:
        material = material.degraded(options.degraded)
    by_store = dict(zip(options.stores, stores, strict=True))
    report = evaluate(
        options,
        material,
        names,
        lambda store, name: by_store[store].estimator(name),
        left_out=left_out,
        weights={str(path): store.weights for path, store in by_store.items()},
        detector=load_speech_detector(options.tracker_store),
    )
    if options.record:
        record_figures(report, options.stores)
    return report


def one_context(contexts: set[float]) -> float:
    """Return the width of crops that all rows share. Raises ValueError where they differ."""
    if len(contexts) > 1:
        said = ", ".join(map(str, sorted(contexts)))
        raise ValueError(f"the rows read crops of different widths ({said}): ask for some alone")
    return next(iter(contexts), 1.25)


def evaluate(
    options: AffectOptions,
    material: EvaluationSet,
    names: Sequence[str],
    load: Callable[[Path, str], Estimator],
    *,
    left_out: Mapping[str, str] | None = None,
    weights: Mapping[str, Mapping[str, str]] | None = None,
    detector: SpeechDetector | None = None,
    console: Console | None = None,
) -> AffectReport:
    """Measure the variants `names` that `load` gives for a store; without a detector of speech all
    sound is used."""
    units = units_of(material, options)
    moments = sum(len(clip.times_s) for unit in units for clip in unit.clips)
    channels = CHANNELS if options.harm else {}
    with progress_bar("Estimating", moments) as done:
        found = measure(
            names,
            units,
            load,
            material.healthy if options.harm else (),
            whole=material.whole,
            done=done,
            detector=detector,
            channels=channels if material.whole else None,
        )

    def beside(data: str) -> bool:
        return not material.sets or data in material.sets

    report = AffectReport(
        data=material.name,
        note=material.note,
        clips=len(material.clips),
        moments=sum(1 if material.whole else len(clip.times_s) for clip in material.clips),
        units=tuple(unit.name for unit in units),
        weights=weights or {},
        rows=tuple(row_of(name, part) for name, part in found.models.items()),
        left_out={**(left_out or {}), **found.left_out},
        differences=tuple(compare(found.models, options.seed)),
        portions=(*attention_portions(found.models), *gate_portions(found.models)),
        survivals=found.survivals,
        moves=found.moves,
        changes=found.changes,
        published=tuple(table for table in affect_tables() if beside(table.data)),
        published_portions=tuple(table for table in affect_portions() if beside(table.data)),
    )
    publish(
        lambda to: show(report, to),
        lambda out: write_files(report, found.models, material, out, options.plots),
        options.out,
        console,
    )
    return report


def units_of(material: EvaluationSet, options: AffectOptions) -> list[Unit]:
    """Return the folds or seeds. Raises ValueError where stores and folds do not fit."""
    stores, folds = options.stores, material.folds
    if options.by_fold:
        if len(folds) != len(stores):
            raise ValueError(f"{len(folds)} folds need as many model stores, not {len(stores)}")
        pairs = enumerate(zip(stores, folds, strict=True), start=1)
        return [Unit(f"fold {index}", store, clips) for index, (store, clips) in pairs]
    if len(stores) == 1:
        return [Unit(ALL, stores[0], material.clips)]
    return [Unit(f"seed {i}", store, material.clips) for i, store in enumerate(stores, start=1)]


def choose_rows(
    wanted: Sequence[str], held: Sequence[Sequence[str]]
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Choose the rows to run, and those left out with the reason.

    Raises ValueError for a wanted row that is none or is not in every store, and where no row is.
    """
    common = [name for name in held[0] if all(name in rows for rows in held)]
    for name in wanted:
        if not is_row(name):
            raise ValueError(f"{name!r} is no row of the tables; known are {', '.join(PRINTED)}")
        if name not in common:
            raise ValueError(f"{name} is {ABSENT}; there are {', '.join(common) or 'none'}")
    if not common:
        raise ValueError("the model stores share no affect model, such as avi-gas")
    absent = {} if wanted else {name: ABSENT for name in PRINTED if name not in common}
    return tuple(wanted) or tuple(common), absent


def record_figures(report: AffectReport, stores: tuple[Path, ...]) -> None:
    """Write each variant's figures on the report's data beside those on other data.

    `{"made clips": {"moments": 7000, "valence": {"rmse": 0.2, "cor": ..., "ccc": ..., "icc": ...},
    "arousal": {...}}}`. A store gets those of its own fold or seed.
    """
    for store, unit in zip(stores, report.units, strict=True):
        for row in report.rows:
            record(store / row.name, report.data, figures(row.units[unit]))


def figures(found: Agreement) -> dict[str, Any]:
    """Return an agreement as plain numbers; none where there is no number."""

    def plain(score: Score) -> dict[str, float | None]:
        return {name: rounded(getattr(score, name)) for name in MEASURES}

    sides = {"valence": plain(found.valence), "arousal": plain(found.arousal)}
    return {"moments": found.samples, **sides}
