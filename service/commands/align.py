"""`countenance align`: photographs into landmarks, here or by a service elsewhere."""

from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Literal, Self

import typer

from service.commands.batch.files import (
    PHOTOS,
    Plan,
    Source,
    draft_of,
    find_sources,
    left_out,
    plan_results,
    read_source,
    whole_file,
)
from service.commands.batch.pool import Emit, Tick
from service.commands.batch.running import SourceBatch
from service.commands.console import mistakes_explained
from service.commands.forms import FORMATS, align_csv_header
from service.commands.options import (
    Again,
    Device,
    Jobs,
    Key,
    KeyFile,
    MinFacePx,
    MinQuality,
    ModelStore,
    Out,
    Url,
    Where,
    ask,
    choose_form,
    choose_where,
    result_option,
    told,
)
from service.options import ALIGN_MAX_FACES, MIN_FACE_PX, MIN_QUALITY

DRAWN = ".png"


def align(
    photos: Annotated[
        list[str], typer.Argument(help="Photographs, folders of them, or - for stdin.")
    ],
    as_json: Annotated[bool, result_option("--json", help="One JSON object a line.")] = False,
    as_csv: Annotated[
        bool,
        result_option("--csv", help="One row a face, with OpenFace's column names."),
    ] = False,
    out: Out = None,
    overlay: Annotated[
        Path | None,
        result_option(file_okay=False, help="Folder for the drawn pictures."),
    ] = None,
    again: Again = False,
    jobs: Jobs = 1,
    max_faces: Annotated[int, told(ALIGN_MAX_FACES)] = ALIGN_MAX_FACES.default,
    min_face_px: MinFacePx = MIN_FACE_PX.default,
    min_quality: MinQuality = MIN_QUALITY.default,
    denoise: Annotated[
        Literal["auto", "off"], typer.Option(help="Denoise faces that need it, or none.")
    ] = "auto",
    url: Url = None,
    key: Key = None,
    key_file: KeyFile = None,
    model_store: ModelStore = None,
    device: Device = None,
) -> None:
    """Find the faces of photographs and their 68 landmarks, in pixels of the upright picture."""
    form = choose_form(out, json=as_json, csv=as_csv)
    with mistakes_explained():
        sources = find_sources(photos, PHOTOS, "photograph")
        plan = plan_results(sources, {f".{form}": out, DRAWN: overlay})
        prints = out is None
        if prints and form == "csv":
            typer.echo(align_csv_header("photo"), nl=False)
        job = AlignJob(
            choose_where(url, key, key_file, model_store, device),
            AlignOptions(max_faces, denoise, min_face_px, min_quality),
            form,
            plan,
        )
        # With drawings alone the results that are printed need all photographs.
        batch = SourceBatch(
            *("photographs", sources, plan, prints, jobs, again or prints),
            left_out=left_out(photos, PHOTOS),
        )
        failures = batch.run(job)
    batch.summarise(failures)


@dataclass(frozen=True)
class AlignOptions:
    """How photographs are looked at, in the words of `POST /align`."""

    max_faces: int = ALIGN_MAX_FACES.default
    denoise: Literal["auto", "off"] = "auto"
    min_face_px: int = MIN_FACE_PX.default
    min_quality: float = MIN_QUALITY.default


@dataclass(frozen=True)
class AlignJob:
    """How photographs become reports of the form `form`, and which files they fill."""

    where: Where
    options: AlignOptions
    form: str
    plan: Plan = field(default_factory=Plan)

    def worker(self) -> "AlignWorker":
        """Return a worker with a client of its own; raises ConfigurationError."""
        return AlignWorker(self)


class AlignWorker:
    """Looks at one photograph after the other."""

    def __init__(self, job: AlignJob) -> None:
        self._job = job
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._client = self._stack.enter_context(self._job.where.client())
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.__exit__(*error)  # type: ignore[arg-type]

    def work(self, source: Source, emit: Emit, tick: Tick) -> None:
        """Write the files of a photograph; emit its report where that has no file."""
        photo, how = read_source(source), asdict(self._job.options)
        reply = ask(lambda: self._client.align(photo, **how))
        if (drawing := self._job.plan.path(source, DRAWN)) is not None:
            drawn = ask(lambda: self._client.draw(photo, **how))
            with draft_of(drawing) as draft:
                draft.write_bytes(drawn)
        report = FORMATS[self._job.form](source.path, reply)
        file = self._job.plan.path(source, f".{self._job.form}")
        if file is None:
            emit(report)
            return
        with whole_file(file) as text:
            text.write(align_csv_header("photo") if self._job.form == "csv" else "")
            text.write(report)
