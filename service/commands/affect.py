"""`countenance affect`: valence and arousal over clips, from face and voice."""

from pathlib import Path
from typing import Annotated

import typer

from service.commands.affect_forms import PLOT, affect_csv_header
from service.commands.affect_work import AffectJob
from service.commands.batch import Batch, emit
from service.commands.console import EXIT_USAGE, fail, mistakes_explained
from service.commands.estimators import EstimateOptions
from service.commands.options import (
    RESULTS,
    Again,
    Device,
    Jobs,
    Key,
    KeyFile,
    ModelStore,
    Out,
    Url,
)
from service.commands.results import plan_with
from service.commands.sources import CLIPS, SOUNDS, find_sources
from service.commands.there import choose_where
from service.streams.affect_model import AffectOptions


def affect(
    clips: Annotated[
        list[str], typer.Argument(help="Clips or sound files, folders of them, or - for stdin.")
    ],
    as_csv: Annotated[
        bool, typer.Option("--csv", help="One row a frame.", rich_help_panel=RESULTS)
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a clip.", rich_help_panel=RESULTS)
    ] = False,
    as_ndjson: Annotated[
        bool,
        typer.Option(
            "--ndjson",
            help="One JSON object a line, as soon as it is known: the clip, frames, summary.",
            rich_help_panel=RESULTS,
        ),
    ] = False,
    out: Out = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            help="The timeline of the clip, as .svg; a folder for several.",
            rich_help_panel=RESULTS,
        ),
    ] = None,
    again: Again = False,
    jobs: Jobs = 1,
    rate_hz: Annotated[
        float, typer.Option(min=0.5, max=100, help="Most frames to look at, a second.")
    ] = 25.0,
    min_face_px: Annotated[int, typer.Option(min=12, help="Smallest face, in pixels.")] = 40,
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
    forms = [("json", as_json), ("ndjson", as_ndjson), ("csv", as_csv)]
    chosen = [form for form, wanted in forms if wanted]
    if len(chosen) > 1:
        fail(f"--{chosen[0]} and --{chosen[1]} exclude each other", EXIT_USAGE)
    form = chosen[0] if chosen else "text" if out is None else "csv"
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
