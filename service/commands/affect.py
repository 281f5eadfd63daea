"""`countenance affect`: valence and arousal over clips, from face and voice."""

from pathlib import Path
from typing import Annotated

import typer

from service.affect.model import AffectOptions
from service.commands.affect_forms import PLOT, affect_csv_header
from service.commands.affect_work import AffectJob
from service.commands.batch.batch import Batch, emit
from service.commands.batch.results import plan_with
from service.commands.batch.sources import CLIPS, SOUNDS, find_sources
from service.commands.console import mistakes_explained
from service.commands.estimators import EstimateOptions
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
    rate_option,
    result_option,
)
from service.commands.there import choose_where


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
    rate_hz: Annotated[float, rate_option()] = 25.0,
    min_face_px: MinFacePx = 40,
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
        affect_options = AffectOptions(variant=variant, min_face_px=min_face_px)
        options = EstimateOptions(affect_options, rate_hz)
        where = choose_where(url, key, key_file, model_store, device)
        if out is None and form == "csv":
            emit(affect_csv_header())
        again = again or (out is None and form != "text")
        batch = Batch("clips", sources, plan, out is None, jobs, again)
        failures = batch.run(AffectJob(where, options, form, plan))
    batch.summarise(failures)
