"""`countenance affect`: valence and arousal over clips, from face and voice."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

import typer

from service.affect.model import AffectOptions
from service.commands.affect_forms import FORMS, PLOT, Output, Outputs, affect_csv_header
from service.commands.batch.batch import Batch, emit
from service.commands.batch.pool import Emit, Tick
from service.commands.batch.results import Plan, plan_with, whole_file
from service.commands.batch.sources import CLIPS, SOUNDS, Source, find_sources
from service.commands.clips import open_file
from service.commands.console import mistakes_explained
from service.commands.estimators import EstimateOptions, choose_estimator
from service.commands.here import Here
from service.commands.loops import Loop
from service.commands.options import (
    Again,
    Device,
    Jobs,
    Key,
    KeyFile,
    MinFacePx,
    ModelStore,
    Out,
    Url,
    choose_form,
    result_option,
    told,
)
from service.commands.there import There, choose_where
from service.options import AFFECT_MAX_FACES, MIN_FACE_PX, RATE_HZ

MODEL = "affect"


@dataclass(frozen=True)
class AffectJob:
    """How clips become reports of the form `form`, and which files they fill."""

    where: Here | There
    options: EstimateOptions
    form: str
    plan: Plan

    def hire(self) -> "AffectWorker":
        """A worker with a model or a connection of its own; raises ConfigurationError."""
        return AffectWorker(self)


class AffectWorker:
    """Looks at and listens to one clip after the other."""

    def __init__(self, job: AffectJob) -> None:
        self._job = job
        self._loop = Loop(job.where, MODEL)

    def __enter__(self) -> Self:
        self._loop.__enter__()
        inference = self._loop.inference
        self._estimator = choose_estimator(self._job.where, inference, self._job.options)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.__exit__()

    def work(self, source: Source, emit: Emit, tick: Tick) -> None:
        """Write the files of a clip, or emit its report, as its frames are estimated."""
        with ExitStack() as stack:
            outputs = self._outputs(source, emit, stack)
            file = stack.enter_context(open_file(source))
            self._loop.run(self._estimator.look(file, outputs, tick))

    def _outputs(self, source: Source, emit: Emit, stack: ExitStack) -> Outputs:
        """The pages of a clip; their files are whole when `stack` is closed without an error."""
        form = self._job.form
        found = []
        for kind, suffix in ((form, f".{form}"), (PLOT, PLOT)):
            path = self._job.plan.path(source, suffix)
            if path is not None:
                text = stack.enter_context(whole_file(path))
                text.write(affect_csv_header() if kind == "csv" else "")
                found.append(Output(FORMS[kind](source.path), text.write))
            elif kind == form:
                found.append(Output(FORMS[kind](source.path), emit))
        return Outputs(found)


def affect(
    clips: Annotated[
        list[str], typer.Argument(help="Clips or sound files, folders of them, or - for stdin.")
    ],
    as_csv: Annotated[bool, result_option("--csv", help="One row a frame.")] = False,
    as_json: Annotated[bool, result_option("--json", help="One JSON object a clip.")] = False,
    as_ndjson: Annotated[
        bool,
        result_option(
            "--ndjson",
            help="One JSON object a line, as soon as it is known: the clip, frames, summary.",
        ),
    ] = False,
    out: Out = None,
    plot: Annotated[
        Path | None,
        result_option(help="The timeline of the clip, as .svg; a folder for several."),
    ] = None,
    again: Again = False,
    jobs: Jobs = 1,
    rate_hz: Annotated[float, told(RATE_HZ)] = RATE_HZ.default,
    min_face_px: MinFacePx = MIN_FACE_PX.default,
    max_faces: Annotated[int, told(AFFECT_MAX_FACES)] = AFFECT_MAX_FACES.default,
    variant: Annotated[
        str | None,
        typer.Option(help="Another network, such as vi-des.", show_default="the model's own"),
    ] = None,
    url: Url = None,
    key: Key = None,
    key_file: KeyFile = None,
    model_store: ModelStore = None,
    device: Device = None,
) -> None:
    """Estimate how pleasant (valence) and how active (arousal) clips look and sound, in [-1, 1].

    It measures expressions, not what anybody feels.
    """
    form = choose_form(out, json=as_json, ndjson=as_ndjson, csv=as_csv)
    with mistakes_explained():
        sources = find_sources(clips, CLIPS | SOUNDS, "clip")
        plan = plan_with(sources, {f".{form}": out}, PLOT, plot, frozenset({PLOT}))
        affect_options = AffectOptions(
            variant=variant, min_face_px=min_face_px, max_faces=max_faces
        )
        options = EstimateOptions(affect_options, rate_hz)
        where = choose_where(url, key, key_file, model_store, device)
        if out is None and form == "csv":
            emit(affect_csv_header())
        again = again or (out is None and form != "text")
        batch = Batch("clips", sources, plan, out is None, jobs, again)
        failures = batch.run(AffectJob(where, options, form, plan))
    batch.summarise(failures)
