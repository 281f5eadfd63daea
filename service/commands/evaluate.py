"""`countenance evaluate align`: the predictors that are served, measured on labelled faces."""

from typing import Annotated

import typer

from service.commands.console import CommandError, as_mistakes, mistakes_explained
from service.commands.options import (
    Device,
    Figures,
    LabelledFaces,
    Layout,
    ModelStore,
    Record,
    settings_with,
)
from service.inference.local import resolve_device


def evaluate_align(
    data: LabelledFaces,
    model: Annotated[
        list[str] | None, typer.Option(help="A model to measure; repeat for more.")
    ] = None,
    pair: Annotated[
        list[str] | None, typer.Option(help="Two models to compare, as dfa:fle; repeat for more.")
    ] = None,
    layout: Layout = "auto",
    out: Figures = None,
    detector: Annotated[
        bool, typer.Option("--detector", help="Also with the detector's boxes.")
    ] = False,
    sweep: Annotated[
        bool, typer.Option("--sweep", help="Also under every degradation at every level.")
    ] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, help="At most so many faces, spread evenly.")
    ] = None,
    min_face_px: Annotated[
        int, typer.Option(min=20, help="Smallest face that the detector looks for, in pixels.")
    ] = 40,
    batch: Annotated[int, typer.Option(min=1, help="Faces at a time.")] = 32,
    seed: Annotated[int, typer.Option(help="Seed of degradations and intervals.")] = 0,
    record: Record = False,
    worst: Annotated[int, typer.Option(min=1, help="Faces on a sheet of the worst.")] = 24,
    model_store: ModelStore = None,
    device: Device = None,
) -> None:
    """Measure normalised mean error, AUC and failure rate; published rows stand beside."""
    with mistakes_explained():
        from handlers.evaluation.align import command as align

        settings = settings_with(model_store=model_store, device=device)
        options = align.AlignOptions(
            data=data,
            model_store=settings.model_store,
            models=tuple(model or ()),
            pairs=tuple(split_pair(text) for text in pair or ()),
            layout=layout,
            out=out,
            detector=detector,
            sweep=sweep,
            device=resolve_device(settings.device),
            limit=limit,
            min_face_px=min_face_px,
            batch=batch,
            seed=seed,
            record=record,
            worst=worst,
        )
        with as_mistakes(ValueError):
            align.evaluate_align(options)


def split_pair(text: str) -> tuple[str, str]:
    """Two names around a colon; raises CommandError for anything else."""
    first, colon, second = text.partition(":")
    if not (first and colon and second):
        raise CommandError(f"--pair {text} names no two models; write one as dfa:fle")
    return first, second
