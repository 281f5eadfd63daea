"""`countenance evaluate affect`: the served affect models over labelled clips, to a report."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from handlers.evaluation.affect.harmed import CHANNELS, Channel
from handlers.evaluation.affect.measuring import Measured, Unit, measure
from handlers.evaluation.affect.report import AffectReport, compare, portions, row_of
from handlers.evaluation.affect.rows import PRINTED, ModelStore, is_row
from handlers.evaluation.affect.sets import AUTO, Following, Material, read_material
from handlers.evaluation.affect.writing import publish, record_figures
from handlers.evaluation.output import progress_bar
from handlers.evaluation.published import affect_portions, affect_tables
from handlers.evaluation.track.rows import TrackerRow, TrackingParts
from handlers.predictors.affect.estimator import Estimator
from handlers.predictors.affect.speech import SpeechDetector
from handlers.store import load_aligner, load_speech_detector

ALL = "all"
FIXED, OF_CLIP = "fixed", "clip"
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
        reference: what 0 dB of a voice is: `fixed` as it is served, or each `clip`'s own maximum.
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
    reference: str = FIXED
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
    check_reference(options)
    stores = [ModelStore(store, options.device) for store in options.stores]
    names, left_out = choose_rows(options.rows, [store.rows() for store in stores])
    following = Following(
        lambda: options.context or one_context(stores[0].contexts(names)),
        lambda: tracker(options),
        lambda: load_aligner(options.tracker_store, ALIGNER, options.device).predictor,
    )
    material = read_material(
        options.data, options.layout, options.limit, following, even=options.even
    )
    if options.reference == OF_CLIP:
        material = material.with_own_reference()
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


def check_reference(options: AffectOptions) -> None:
    """Raise ValueError for a reference that is none, and for figures that are not to be kept."""
    if options.reference not in (FIXED, OF_CLIP):
        raise ValueError(f"the reference is {options.reference!r}; {FIXED} or {OF_CLIP}")
    if options.record and options.reference != FIXED:
        raise ValueError("only figures of the reference that is served are recorded")
    if options.record and (options.degraded or options.context or options.even):
        raise ValueError("only figures of data as it is served are recorded")


def one_context(contexts: set[float]) -> float:
    """The width of crops that all rows share. Raises ValueError where they differ."""
    if len(contexts) > 1:
        said = ", ".join(map(str, sorted(contexts)))
        raise ValueError(f"the rows read crops of different widths ({said}): ask for some alone")
    return next(iter(contexts), 1.25)


def tracker(options: AffectOptions) -> TrackerRow:
    """DCRT of the tracker's store. Raises ValueError where it has none."""
    trackers = TrackingParts(options.tracker_store, options.device)
    served = [name for name in trackers.rows() if name.startswith("DCRT-")]
    if not served:
        raise ValueError(f"{options.tracker_store}: holds no DCRT to follow faces with")
    return trackers.follower(served[0])


def evaluate(
    options: AffectOptions,
    material: Material,
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
    with progress_bar("Estimating", moments) as done:
        found = measure(
            names,
            units,
            load,
            material.healthy if options.harm else (),
            whole=material.whole,
            done=done,
            detector=detector,
            channels=channels_of(options, material),
        )
    absent = {**(left_out or {}), **found.left_out}
    report = report_of(material, units, found, options.seed, absent, weights or {})
    publish(report, found.models, material, options.out, options.plots, console or _console())
    return report


def channels_of(options: AffectOptions, material: Material) -> Mapping[str, Channel] | None:
    """Choose speech's channels: none where it is not to be harmed, None for other material."""
    if not material.whole:
        return None
    return CHANNELS if options.harm else {}


def _console() -> Console:
    """Standard output; where it is no terminal, wide enough for every table."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH)


def report_of(
    material: Material,
    units: Sequence[Unit],
    found: Measured,
    seed: int,
    left_out: Mapping[str, str],
    weights: Mapping[str, Mapping[str, str]],
) -> AffectReport:
    """Everything that is said of what was measured."""

    def beside(data: str) -> bool:
        return not material.sets or data in material.sets

    return AffectReport(
        data=material.name,
        note=material.note,
        clips=len(material.clips),
        moments=sum(1 if material.whole else len(clip.times_s) for clip in material.clips),
        units=tuple(unit.name for unit in units),
        weights=weights,
        rows=tuple(row_of(name, part) for name, part in found.models.items()),
        left_out=left_out,
        differences=tuple(compare(found.models, seed)),
        portions=tuple(portions(found.models)),
        survivals=found.survivals,
        moves=found.moves,
        changes=found.changes,
        published=tuple(table for table in affect_tables() if beside(table.data)),
        published_portions=tuple(table for table in affect_portions() if beside(table.data)),
    )


def units_of(material: Material, options: AffectOptions) -> list[Unit]:
    """The folds or seeds. Raises ValueError where stores and folds do not fit."""
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
    """The rows to run, and those left out with the reason.

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
